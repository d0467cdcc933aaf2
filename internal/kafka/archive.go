package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

const (
	retentionConfig = "retention.ms"

	// What a reader of a range holds beside what it was read for.
	rangeFetchBytesMax = 8 << 20
	// rangeSilenceMax is how long a range's next record may be in coming: all of
	// them are there already.
	rangeSilenceMax = 30 * time.Second
)

// Bounds tells, for every partition in order, where it begins and where its
// records end that were appended before the time before; with them the topic's
// name and id. The starts are read last: what is told to be there was there
// when the ends were read.
func (a *Admin) Bounds(ctx context.Context, before time.Time) (topic, topicID string, bounds []click.StreamBounds, err error) {
	topic = a.config.ClicksTopic()
	topicID, err = lookAtTopic(ctx, a.client, topic, a.config.Partitions)
	if err != nil {
		return "", "", nil, err
	}
	ends, err := a.offsets("find offsets by time", func() (kadm.ListedOffsets, error) {
		return a.admin.ListOffsetsAfterMilli(ctx, before.UnixMilli(), topic)
	}, int(a.config.Partitions))
	if err != nil {
		return "", "", nil, err
	}
	starts, err := a.offsets("find log starts", func() (kadm.ListedOffsets, error) {
		return a.admin.ListStartOffsets(ctx, topic)
	}, len(ends))
	if err != nil {
		return "", "", nil, err
	}
	bounds = make([]click.StreamBounds, len(ends))
	for partition := range bounds {
		bounds[partition] = click.StreamBounds{Start: starts[partition], Next: ends[partition]}
	}
	return topic, topicID, bounds, nil
}

// Earliest is the append time of the oldest record there is; zero when there is
// none.
func (a *Admin) Earliest(ctx context.Context) (time.Time, error) {
	listed, err := a.admin.ListOffsetsAfterMilli(ctx, 0, a.config.ClicksTopic())
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return time.Time{}, brokerError("find the oldest record", err)
	}
	var earliest time.Time
	listed.Each(func(o kadm.ListedOffset) {
		if at := time.UnixMilli(o.Timestamp).UTC(); o.Timestamp >= 0 && (earliest.IsZero() || at.Before(earliest)) {
			earliest = at
		}
	})
	return earliest, nil
}

// Retention is how long the broker keeps clicks; 0: without end.
func (a *Admin) Retention(ctx context.Context) (time.Duration, error) {
	topic := a.config.ClicksTopic()
	described, err := a.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, brokerError("read configuration of topic "+topic, err)
	}
	resource, err := described.On(topic, nil)
	if err = errors.Join(err, resource.Err); err != nil {
		return 0, brokerError("read configuration of topic "+topic, err)
	}
	for _, setting := range resource.Configs {
		if setting.Key != retentionConfig {
			continue
		}
		ms, err := strconv.ParseInt(setting.MaybeValue(), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s of topic %s: %w", retentionConfig, topic, err)
		}
		return max(time.Duration(ms)*time.Millisecond, 0), nil
	}
	return 0, nil
}

// ReadSpan hands each record of a span of a partition to visit, in order: a
// click, or an offset whose record is none. Offsets that hold no record are
// passed over. It is click.ErrGone when the stream has dropped some of it.
func (a *Admin) ReadSpan(ctx context.Context, partition int32, span click.OffsetSpan, visit func(c click.Appended, isClick bool)) error {
	if span.Len() <= 0 {
		return nil
	}
	what := fmt.Sprintf("read partition %d from %d to %d", partition, span.First, span.Next)
	client, err := kgo.NewClient(append(commonOptions(a.config),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			a.config.ClicksTopic(): {partition: kgo.NewOffset().At(span.First)},
		}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a dropped offset is an error, not another one
		kgo.KeepControlRecords(),                    // an end of a span that holds nothing else must be seen too
		kgo.FetchMaxBytes(rangeFetchBytesMax),
		kgo.FetchMaxPartitionBytes(rangeFetchBytesMax),
		kgo.MaxConcurrentFetches(1))...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer client.Close()
	var scratch recordv1.Click
	for next := span.First; next < span.Next; {
		records, err := pollSpan(ctx, client)
		if err != nil {
			return fmt.Errorf("%s: at %d: %w", what, next, err)
		}
		for _, r := range records {
			if r.Offset < next || r.Offset >= span.Next {
				next = max(next, r.Offset)
				continue
			}
			next = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			c, err := decodeRecord(r.Value, &scratch)
			visit(click.Appended{
				Placed:     click.Placed{Click: c, Position: click.Position{Partition: r.Partition, Offset: r.Offset}},
				AppendedAt: r.Timestamp.UTC(),
			}, err == nil)
		}
	}
	return nil
}

// pollSpan is the next records of a reader, at least one.
func pollSpan(ctx context.Context, client *kgo.Client) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, rangeSilenceMax)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		for _, fault := range fetches.Errors() {
			switch {
			case errors.Is(fault.Err, kerr.OffsetOutOfRange):
				return nil, fmt.Errorf("%w: %w", click.ErrGone, fault.Err)
			case ctx.Err() != nil:
				return nil, fmt.Errorf("%w: no record came: %w", click.ErrUnavailable, ctx.Err())
			default:
				return nil, brokerError("fetch", fault.Err)
			}
		}
		if records := fetches.Records(); len(records) > 0 {
			return records, nil
		}
	}
}
