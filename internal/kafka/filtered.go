package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	// filteredEntriesMax keeps a record around a quarter of a megabyte.
	filteredEntriesMax = 5_000
	// filteredBufferedMax is how many records wait for Kafka at most.
	filteredBufferedMax = 32
	// filteredDeliveryTimeout is when one that found no broker is given up; its
	// sender has it still.
	filteredDeliveryTimeout = 5 * time.Second
)

// FilteredProducer puts what a gateway did not produce into its topic. It has a
// client of its own: nothing here can hold up a click. It is for one caller.
type FilteredProducer struct {
	client *kgo.Client
	topic  string
}

// NewFilteredProducer makes the producer; it does not wait for Kafka.
func NewFilteredProducer(c config.Config) (*FilteredProducer, error) {
	client, err := kgo.NewClient(append(commonOptions(c),
		kgo.DefaultProduceTopic(c.FilteredTopic()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// Ids make a repeat harmless, and a record may be given up at any time.
		kgo.DisableIdempotentWrite(),
		kgo.MaxBufferedRecords(filteredBufferedMax),
		kgo.RecordDeliveryTimeout(filteredDeliveryTimeout),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka producer for %v: %w", c.KafkaBrokers, err)
	}
	return &FilteredProducer{client: client, topic: c.FilteredTopic()}, nil
}

// SendFiltered puts entries into the topic and returns when they are durable or
// ctx ends. After an error some may be, or come to be, in the topic: sending the
// same entries again is harmless, they keep their ids.
func (p *FilteredProducer) SendFiltered(ctx context.Context, entries []click.Filtered) error {
	acks := make(chan error, len(entries)/filteredEntriesMax+1)
	sent := 0
	for chunk := range slices.Chunk(entries, filteredEntriesMax) {
		value, err := encodeFiltered(chunk)
		if err != nil {
			return err
		}
		p.client.TryProduce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) { acks <- err })
		sent++
	}
	var faults []error
	for range sent {
		select {
		case err := <-acks:
			faults = append(faults, err)
		case <-ctx.Done():
			return fmt.Errorf("send filtered clicks: %w: %w", click.ErrUnavailable, ctx.Err())
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("send filtered clicks: %w: %w", click.ErrUnavailable, err)
	}
	return nil
}

// Close ends the connections. What was not acknowledged may be lost.
func (p *FilteredProducer) Close() { p.client.Close() }
