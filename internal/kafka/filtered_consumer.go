package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	filteredFetchWait    = time.Second
	filteredFetchMin     = 64 << 10
	filteredFetchMax     = 4 << 20
	filteredRecordsMax   = 64
	filteredLeaveTimeout = 2 * time.Second
)

// FilteredConsumer is one member of the group that stores filtered clicks:
// Gather, store, Commit. Partitions may be taken away meanwhile: what two
// members store is the same and counts once. A batch that was not committed is
// only read again by a new FilteredConsumer. It is not safe for concurrent use.
type FilteredConsumer struct {
	client *kgo.Client
	config config.Config
	log    *slog.Logger
	held   []*kgo.Record // the batch, as it came
	dead   []*kgo.Record // letters for those of the batch that cannot be stored
}

// NewFilteredConsumer begins to join the group; it does not wait for Kafka.
func NewFilteredConsumer(c config.Config, log *slog.Logger) (*FilteredConsumer, error) {
	client, err := kgo.NewClient(append(commonOptions(c),
		kgo.ConsumerGroup(c.FilteredGroup()),
		kgo.ConsumeTopics(c.FilteredTopic()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.DisableAutoCommit(),
		kgo.FetchMinBytes(filteredFetchMin),
		kgo.FetchMaxWait(filteredFetchWait),
		kgo.FetchMaxBytes(filteredFetchMax),
		kgo.FetchMaxPartitionBytes(filteredFetchMax),
		kgo.RequiredAcks(kgo.AllISRAcks()), // of dead letters
	)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka consumer for %v: %w", c.KafkaBrokers, err)
	}
	return &FilteredConsumer{client: client, config: c, log: log}, nil
}

// Gather waits for records and returns what they hold; those that hold nothing
// readable become dead letters with Commit. It returns ctx.Err() when ctx ends
// before anything came.
func (c *FilteredConsumer) Gather(ctx context.Context) ([]click.Filtered, error) {
	for len(c.held) == 0 {
		fetches := c.client.PollRecords(ctx, filteredRecordsMax)
		c.held = fetches.Records()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.fault(fetches); err != nil {
			return nil, err
		}
	}
	var entries []click.Filtered
	for _, record := range c.held {
		decoded, err := decodeFiltered(record.Value)
		if err != nil {
			c.bury(record, err.Error())
			continue
		}
		entries = append(entries, decoded...)
	}
	return entries, nil
}

func (c *FilteredConsumer) fault(fetches kgo.Fetches) error {
	for _, fault := range fetches.Errors() {
		var loss *kgo.ErrDataLoss
		if errors.As(fault.Err, &loss) {
			c.log.Error("the stream of filtered clicks has lost records", "partition", fault.Partition, "error", fault.Err)
			continue
		}
		return fmt.Errorf("read partition %d of %s: %w", fault.Partition, c.config.FilteredTopic(), fault.Err)
	}
	return nil
}

func (c *FilteredConsumer) bury(record *kgo.Record, reason string) {
	c.log.Error("dead letter of filtered clicks", "partition", record.Partition, "offset", record.Offset, "reason", reason)
	c.dead = append(c.dead, deadRecord(c.config.DeadTopic(), record, reason))
}

// Refuse makes dead letters of the whole batch: the store will never take it.
func (c *FilteredConsumer) Refuse(reason string) {
	c.dead = nil
	for _, record := range c.held {
		c.bury(record, reason)
	}
}

// Commit says that the batch is dealt with, and ends it. The dead letters are
// durable before.
func (c *FilteredConsumer) Commit(ctx context.Context) error {
	if err := c.client.ProduceSync(ctx, c.dead...).FirstErr(); err != nil {
		return fmt.Errorf("bury dead letters: %w: %w", click.ErrUnavailable, err)
	}
	if err := c.client.CommitRecords(ctx, c.held...); err != nil {
		return fmt.Errorf("commit offsets of filtered clicks: %w", err)
	}
	c.held, c.dead = nil, nil
	return nil
}

// Leave gives up the batch, leaves the group and closes the connections; it
// waits some seconds at most.
func (c *FilteredConsumer) Leave() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.client.Close() // leaves first
	}()
	select {
	case <-closed:
	case <-time.After(filteredLeaveTimeout):
	}
}
