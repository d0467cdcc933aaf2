package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
)

// Headers of a dead letter: why, and where it came from. Its value and key are
// those of the original record, byte for byte, up to deadPartBytesMax each.
const (
	headerReason     = "reason"
	headerTopic      = "topic"
	headerPartition  = "partition"
	headerOffset     = "offset"
	headerAppendedAt = "appended_at_ms" // by the broker's clock, Unix milliseconds
	headerBytes      = "bytes"          // of the original's key and value, only when something was cut off
)

// deadPartBytesMax is how much is kept of a value, and of a key. A record may be
// as large as its topic takes: with the headers it would be refused, and hold up
// its partition for ever. The original stays where the headers say.
const deadPartBytesMax = 256 << 10

// Bury writes records of the batch to the dead-letter topic and returns when
// they are durable. Call it before Commit: a crash between the two buries a
// record twice, never not at all; its partition and offset tell the copies.
func (c *Consumer) Bury(ctx context.Context, letters []click.DeadLetter) error {
	reasons := make(map[click.Position]string, len(letters))
	for _, letter := range letters {
		reasons[letter.Position] = letter.Reason
	}
	records := make([]*kgo.Record, 0, len(letters))
	for _, original := range c.held {
		reason, ok := reasons[click.Position{Partition: original.Partition, Offset: original.Offset}]
		if ok {
			records = append(records, deadRecord(c.config.DeadTopic(), original, reason))
		}
	}
	if len(records) != len(reasons) {
		return fmt.Errorf("bury dead letters: %d of %d are not of this batch", len(reasons)-len(records), len(reasons))
	}
	if err := c.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("bury dead letters: %w: %w", click.ErrUnavailable, err)
	}
	return nil
}

func deadRecord(topic string, original *kgo.Record, reason string) *kgo.Record {
	header := func(key, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: key, Value: []byte(value)}
	}
	letter := &kgo.Record{
		Topic: topic,
		Key:   original.Key[:min(len(original.Key), deadPartBytesMax)],
		Value: original.Value[:min(len(original.Value), deadPartBytesMax)],
		Headers: []kgo.RecordHeader{
			header(headerReason, reason),
			header(headerTopic, original.Topic),
			header(headerPartition, strconv.Itoa(int(original.Partition))),
			header(headerOffset, strconv.FormatInt(original.Offset, 10)),
			header(headerAppendedAt, strconv.FormatInt(original.Timestamp.UnixMilli(), 10)),
		},
	}
	if whole := len(original.Key) + len(original.Value); len(letter.Key)+len(letter.Value) < whole {
		letter.Headers = append(letter.Headers, header(headerBytes, strconv.Itoa(whole)))
	}
	return letter
}
