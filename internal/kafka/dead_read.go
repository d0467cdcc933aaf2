package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
)

const (
	deadPartition = 0 // deadPartitions is 1
	// One call reads at most so much of the dead letters; a single letter is
	// handed out however large it is.
	deadReadBytesMax = 16 << 20
	deadReadTimeout  = 10 * time.Second
)

var errOriginalGone = errors.New("only a part of it was kept and Kafka no longer has the original")

// DeadLetters reads up to limit dead letters, oldest first, from a place on (an
// offset in their topic; before its start: from the start). Copies are among
// them. Next is where to read on, end where the topic ended when it was asked:
// when they are equal there were no more. Nothing is changed, and no group
// takes part.
func (a *Admin) DeadLetters(ctx context.Context, from int64, limit int) (letters []click.Buried, next, end int64, err error) {
	start, end, err := a.DeadRange(ctx)
	if err != nil {
		return nil, 0, 0, err
	}
	next = min(max(from, start), end)
	records, err := a.readRecords(ctx, a.config.DeadTopic(), deadPartition, next, end, limit)
	if err != nil {
		return nil, 0, 0, err
	}
	for _, record := range records {
		letters = append(letters, buriedOf(record))
		next = record.Offset + 1
	}
	return letters, next, end, nil
}

// DeadRange is where the dead letters start and end: their difference is how
// many are kept, copies included.
func (a *Admin) DeadRange(ctx context.Context) (start, end int64, err error) {
	return a.bounds(ctx, a.config.DeadTopic(), deadPartition)
}

func (a *Admin) bounds(ctx context.Context, topic string, partition int32) (start, end int64, err error) {
	for _, side := range []struct {
		into *int64
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
	}{{&start, a.admin.ListStartOffsets}, {&end, a.admin.ListEndOffsets}} {
		listed, err := side.list(ctx, topic)
		if err != nil {
			return 0, 0, brokerError("find the ends of "+topic, err)
		}
		offset, ok := listed.Lookup(topic, partition)
		switch {
		case !ok:
			return 0, 0, fmt.Errorf("find the ends of %s: no partition %d: %w", topic, partition, click.ErrNotFound)
		case offset.Err != nil:
			return 0, 0, brokerError("find the ends of "+topic, offset.Err)
		}
		*side.into = offset.Offset
	}
	return start, end, nil
}

// readRecords reads the records of [from, end), at most limit and some
// deadReadBytesMax, by a client of its own.
func (a *Admin) readRecords(ctx context.Context, topic string, partition int32, from, end int64, limit int) ([]*kgo.Record, error) {
	if from >= end || limit <= 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadReadTimeout)
	defer cancel()
	client, err := kgo.NewClient(append(commonOptions(a.config),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		kgo.FetchMaxBytes(partitionBytesMax),
		kgo.FetchMaxPartitionBytes(partitionBytesMax),
		kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	var records []*kgo.Record
	for bytes := 0; len(records) < limit && bytes < deadReadBytesMax; {
		fetches := client.PollRecords(ctx, limit-len(records))
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return nil, fmt.Errorf("read %s from offset %d: %w: %w", topic, from, click.ErrUnavailable, err)
		}
		for _, record := range fetches.Records() {
			if record.Offset >= end {
				return records, nil
			}
			records, bytes = append(records, record), bytes+len(record.Key)+len(record.Value)
			if record.Offset == end-1 {
				return records, nil
			}
		}
	}
	return records, nil
}

// buriedOf reads what deadRecord wrote. A header that is missing or no number
// leaves its field zero: such a letter can be looked at, not replayed.
func buriedOf(record *kgo.Record) click.Buried {
	letter := click.Buried{
		Place: record.Offset, BuriedAt: record.Timestamp.UTC(), Key: record.Key, Value: record.Value,
		WholeBytes: len(record.Key) + len(record.Value),
	}
	for _, header := range record.Headers {
		text := string(header.Value)
		number, _ := strconv.ParseInt(text, 10, 64)
		switch header.Key {
		case headerReason:
			letter.Reason = text
		case headerTopic:
			letter.Topic = text
		case headerPartition:
			letter.Partition = int32(number)
		case headerOffset:
			letter.Offset = number
		case headerAppendedAt:
			letter.AppendedAt = time.UnixMilli(number).UTC()
		case headerBytes:
			letter.WholeBytes = int(number)
		}
	}
	return letter
}
