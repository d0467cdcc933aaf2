package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	clicksRetention = 7 * 24 * time.Hour
	deadRetention   = 30 * 24 * time.Hour
	deadPartitions  = 1

	filteredRetention  = 7 * 24 * time.Hour
	filteredPartitions = 2 // a second ingester need not stand idle; it is some records a second

	// readyTimeout is how long topics and the group's coordinator may need until
	// the brokers know them.
	readyTimeout  = 30 * time.Second
	readyInterval = 250 * time.Millisecond

	timestampConfig = "message.timestamp.type"
	// appendTime makes the broker's clock date each record: monotone in a
	// partition, it orders the stream.
	appendTime = "LogAppendTime"
)

// Admin looks after the topics and asks how far the ingester's group has come.
// It is safe for concurrent use.
type Admin struct {
	client *kgo.Client
	admin  *kadm.Client
	config config.Config
}

// NewAdmin makes the client; it does not wait for a broker, the first call does.
func NewAdmin(c config.Config) (*Admin, error) {
	client, err := kgo.NewClient(commonOptions(c)...)
	if err != nil {
		return nil, fmt.Errorf("create kafka client: %w", err)
	}
	return &Admin{client: client, admin: kadm.NewClient(client), config: c}, nil
}

// Close ends the connections.
func (a *Admin) Close() { a.client.Close() }

// Ping reports whether a broker answers.
func (a *Admin) Ping(ctx context.Context) error {
	if err := a.client.Ping(ctx); err != nil {
		return fmt.Errorf("ping kafka: %w: %w", click.ErrUnavailable, err)
	}
	return nil
}

// Setup creates the topics that are absent and checks those that are there:
// the number of partitions, and that the broker's clock dates the clicks. What
// differs is an error that says what to do, never changed under a running
// system.
func (a *Admin) Setup(ctx context.Context) error {
	_, err := a.EnsureTopics(ctx)
	return err
}

// EnsureTopics is Setup; it returns the names of the topics it created.
func (a *Admin) EnsureTopics(ctx context.Context) (created []string, err error) {
	clicks, dead := a.config.ClicksTopic(), a.config.DeadTopic()
	for _, topic := range []struct {
		name       string
		partitions int32
		configs    map[string]*string
	}{
		{clicks, a.config.Partitions, a.topicConfigs(clicksRetention, appendTime)},
		{dead, deadPartitions, a.topicConfigs(deadRetention, "CreateTime")},
		{a.config.FilteredTopic(), filteredPartitions, a.topicConfigs(filteredRetention, "CreateTime")},
	} {
		_, err := a.admin.CreateTopic(ctx, topic.partitions, a.config.KafkaReplicas, topic.configs, topic.name)
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists):
		case err != nil:
			return created, brokerError("create topic "+topic.name, err)
		default:
			created = append(created, topic.name)
		}
	}
	if err := a.await(ctx, "create topics "+strings.Join(created, ", "), func(ctx context.Context) (bool, error) {
		return a.known(ctx, created)
	}); err != nil {
		return created, err
	}
	if err := a.await(ctx, "find the group's coordinator", a.coordinated); err != nil {
		return created, err
	}
	if slices.Contains(created, clicks) {
		return created, nil // as it was asked for
	}
	return created, errors.Join(
		checkTopic(ctx, a.client, clicks, a.config.Partitions),
		a.checkAppendTime(ctx, clicks))
}

// await asks until the answer is yes. A last answer of no is click.ErrUnavailable.
func (a *Admin) await(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		yes, err := ask(ctx)
		if err != nil {
			return brokerError(what, err)
		}
		if yes {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return brokerError(what, ctx.Err())
		}
	}
}

// known tells whether a broker knows every partition of the topics, and who
// leads it. Who has created a topic is told so before that.
func (a *Admin) known(ctx context.Context, topics []string) (bool, error) {
	if len(topics) == 0 {
		return true, nil
	}
	details, err := a.admin.ListTopics(ctx, topics...)
	if err != nil {
		return false, err
	}
	for _, topic := range topics {
		if !led(details[topic]) {
			return false, nil
		}
	}
	return true, nil
}

// led tells whether a topic is there, with a leader of each partition.
func led(topic kadm.TopicDetail) bool {
	for _, partition := range topic.Partitions {
		if partition.Err != nil || partition.Leader < 0 {
			return false
		}
	}
	return topic.Err == nil && len(topic.Partitions) > 0
}

// coordinated tells whether the ingester's group has a coordinator. A Kafka
// that never had a group makes the topic of commits when it is first asked, and
// for some seconds says only that it has none.
func (a *Admin) coordinated(ctx context.Context) (bool, error) {
	_, err := a.admin.FetchOffsets(ctx, a.config.IngesterGroup())
	switch {
	case err == nil, errors.Is(err, kerr.GroupIDNotFound): // a coordinator answered
		return true, nil
	case errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.CoordinatorLoadInProgress), errors.Is(err, kerr.NotCoordinator):
		return false, nil
	}
	return false, err
}

func (a *Admin) topicConfigs(retention time.Duration, timestamps string) map[string]*string {
	configs := map[string]*string{
		"retention.ms":  kadm.StringPtr(strconv.FormatInt(retention.Milliseconds(), 10)),
		timestampConfig: &timestamps,
	}
	if a.config.KafkaReplicas > 2 {
		configs["min.insync.replicas"] = kadm.StringPtr("2")
	}
	return configs
}

func (a *Admin) checkAppendTime(ctx context.Context, topic string) error {
	described, err := a.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return brokerError("read configuration of topic "+topic, err)
	}
	resource, err := described.On(topic, nil)
	if err = errors.Join(err, resource.Err); err != nil {
		return fmt.Errorf("read configuration of topic %s: %w", topic, err)
	}
	for _, setting := range resource.Configs {
		if setting.Key == timestampConfig && setting.MaybeValue() != appendTime {
			return fmt.Errorf("topic %s has %s=%s but the stream must be ordered by the broker's clock; set it to %s",
				topic, timestampConfig, setting.MaybeValue(), appendTime)
		}
	}
	return nil
}

// Drop deletes the namespace's topics and groups: for the end of a test.
func (a *Admin) Drop(ctx context.Context) error {
	deleted, err := a.admin.DeleteTopics(ctx, a.config.ClicksTopic(), a.config.DeadTopic(), a.config.FilteredTopic())
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(deleted)) {
		if err := deleted[name].Err; err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topic %s: %w", name, err)
		}
	}
	for _, group := range []string{a.config.IngesterGroup(), a.config.FilteredGroup()} {
		if err := a.dropGroup(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// dropGroup waits for members that died without a farewell: the broker believes in them until their session is over.
func (a *Admin) dropGroup(ctx context.Context, group string) error {
	for {
		_, err := a.admin.DeleteGroup(ctx, group)
		if err == nil || errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		if !errors.Is(err, kerr.NonEmptyGroup) {
			return fmt.Errorf("delete group %s: %w", group, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("delete group %s: %w", group, err)
		case <-time.After(time.Second):
		}
	}
}
