package kafka

import (
	"bytes"
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
)

// Replay appends the original of a dead letter to the partition it came from,
// key and value byte for byte, and returns where it stands now, durable. There
// the ingester judges it as any record, in the order of its impression's
// partition; so replaying twice counts nothing twice.
//
// It wraps click.ErrRejected when this letter can never be replayed, with a
// sentence that says why, and click.ErrUnavailable when Kafka did not
// acknowledge: it may have landed nevertheless.
func (a *Admin) Replay(ctx context.Context, letter click.Buried) (click.Position, error) {
	if letter.Topic != a.config.ClicksTopic() || letter.AppendedAt.IsZero() {
		return click.Position{}, fmt.Errorf("replay dead letter: it does not come from topic %s: %w", a.config.ClicksTopic(), click.ErrRejected)
	}
	if letter.Partition < 0 || letter.Partition >= a.config.Partitions {
		return click.Position{}, fmt.Errorf("replay dead letter: the topic has no partition %d: %w", letter.Partition, click.ErrRejected)
	}
	key, value := letter.Key, letter.Value
	if letter.CutOff() {
		original, err := a.original(ctx, letter)
		if err != nil {
			return click.Position{}, fmt.Errorf("replay dead letter: %w", err)
		}
		key, value = original.Key, original.Value
	}
	client, err := kgo.NewClient(append(commonOptions(a.config),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(replayBatchBytesMax),
	)...)
	if err != nil {
		return click.Position{}, fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	record := &kgo.Record{Topic: letter.Topic, Partition: letter.Partition, Key: key, Value: value}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return click.Position{}, brokerError("replay dead letter", err)
	}
	return click.Position{Partition: record.Partition, Offset: record.Offset}, nil
}

// replayBatchBytesMax: what the topic took once, it takes again.
const replayBatchBytesMax = 32 << 20

// original reads the record a letter was cut from. Another record may be there
// if the topic was made anew: append time, size and the part that was kept tell.
func (a *Admin) original(ctx context.Context, letter click.Buried) (*kgo.Record, error) {
	start, end, err := a.bounds(ctx, letter.Topic, letter.Partition)
	if err != nil {
		return nil, err
	}
	if letter.Offset < start || letter.Offset >= end {
		return nil, fmt.Errorf("%w: %w", errOriginalGone, click.ErrRejected)
	}
	records, err := a.readRecords(ctx, letter.Topic, letter.Partition, letter.Offset, letter.Offset+1, 1)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 || !isOriginal(records[0], letter) {
		return nil, fmt.Errorf("%w: %w", errOriginalGone, click.ErrRejected)
	}
	return records[0], nil
}

func isOriginal(record *kgo.Record, letter click.Buried) bool {
	return record.Offset == letter.Offset && record.Timestamp.UnixMilli() == letter.AppendedAt.UnixMilli() &&
		len(record.Key)+len(record.Value) == letter.WholeBytes &&
		bytes.HasPrefix(record.Key, letter.Key) && bytes.HasPrefix(record.Value, letter.Value)
}
