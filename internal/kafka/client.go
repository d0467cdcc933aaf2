// Package kafka is the stream: clicks go into it by the gateway's producer and
// come out by the ingester's consumer. It alone imports the Kafka client.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

// A broker that was restarted must be in use again within seconds, so the
// library's waits (metadata at most every 5 s, back-off up to 5 s) are shorter.
const (
	dialTimeout        = 2 * time.Second
	requestOverhead    = 5 * time.Second // on top of what a request itself asks the broker to wait
	metadataAgeMin     = 500 * time.Millisecond
	retryBackoffMin    = 50 * time.Millisecond
	retryBackoffMax    = time.Second
	retryDoublingsMax  = 5
	clientIDForBrokers = "clickledger"
)

// commonOptions are the same for every client of the brokers.
func commonOptions(c config.Config) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.ClientID(clientIDForBrokers),
		kgo.SeedBrokers(c.KafkaBrokers...),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(requestOverhead),
		kgo.MetadataMinAge(metadataAgeMin),
		kgo.RetryBackoffFn(retryBackoff),
	}, secured(c)...)
}

// secured is how clients prove the brokers and themselves.
func secured(c config.Config) []kgo.Opt {
	var options []kgo.Opt
	if secure := c.TLS(c.KafkaTLS); secure != nil {
		options = append(options, kgo.DialTLSConfig(secure))
	}
	if c.KafkaUser == "" {
		return options
	}
	login := scram.Auth{User: c.KafkaUser, Pass: c.KafkaPassword}
	mechanism := login.AsSha512Mechanism()
	switch c.KafkaSASL {
	case config.SASLScramSHA256:
		mechanism = login.AsSha256Mechanism()
	case config.SASLPlain:
		mechanism = plain.Auth{User: c.KafkaUser, Pass: c.KafkaPassword}.AsMechanism()
	}
	return append(options, kgo.SASL(mechanism))
}

// retryBackoff doubles from retryBackoffMin to retryBackoffMax.
func retryBackoff(fails int) time.Duration {
	doublings := min(max(fails-1, 0), retryDoublingsMax)
	return min(retryBackoffMin<<doublings, retryBackoffMax)
}

// checkTopic reports whether topic exists with the configured number of
// partitions. The error wraps click.ErrUnavailable when no broker answers,
// click.ErrNotFound when there is no such topic, and click.ErrFewerPartitions
// when it has fewer.
func checkTopic(ctx context.Context, client *kgo.Client, topic string, partitions int32) error {
	_, err := lookAtTopic(ctx, client, topic, partitions)
	return err
}

// lookAtTopic is checkTopic, and the id of the topic that was checked: it comes
// with the same answer, so that no broker that knows less can be taken for
// another topic. It is told with click.ErrFewerPartitions too.
func lookAtTopic(ctx context.Context, client *kgo.Client, topic string, partitions int32) (id string, err error) {
	details, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err != nil {
		return "", fmt.Errorf("look at topic %s: %w: %w", topic, click.ErrUnavailable, err)
	}
	found := details[topic]
	switch {
	case errors.Is(found.Err, kerr.UnknownTopicOrPartition):
		return "", fmt.Errorf("topic %s does not exist; run setup first: %w", topic, click.ErrNotFound)
	case kerr.IsRetriable(found.Err):
		return "", fmt.Errorf("look at topic %s: %w: %w", topic, click.ErrUnavailable, found.Err)
	case found.Err != nil:
		return "", fmt.Errorf("look at topic %s: %w", topic, found.Err)
	case len(found.Partitions) < int(partitions):
		return found.ID.String(), fmt.Errorf("topic %s has %d partitions, %sPARTITIONS is %d: %w",
			topic, len(found.Partitions), config.Prefix, partitions, click.ErrFewerPartitions)
	case len(found.Partitions) > int(partitions):
		return "", fmt.Errorf("topic %s has %d partitions but %sPARTITIONS is %d; set it to what the topic has",
			topic, len(found.Partitions), config.Prefix, partitions)
	}
	return found.ID.String(), nil
}
