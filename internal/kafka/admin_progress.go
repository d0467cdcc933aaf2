package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"clickledger/internal/click"
)

// PartitionLag is how far the ingester's group is behind in one partition.
type PartitionLag struct {
	Partition int32
	Committed int64 // everything before it is stored
	End       int64 // the offset the next record will have
}

// Progress tells, for every partition in order, what the ingester's group has
// committed and what it must have committed for every click appended before
// notBefore to be stored: the first offset appended at notBefore or later, or
// with none yet the end offset. A partition without a commit counts as
// committed at its log start.
//
// The commits are read first, so they are never newer than what is required.
// With them comes the topic's id: offsets mean nothing without it.
func (a *Admin) Progress(ctx context.Context, notBefore time.Time) (topicID string, progress []click.PartitionProgress, err error) {
	topicID, committed, err := a.committed(ctx)
	if err != nil {
		return "", nil, err
	}
	required, err := a.offsets("find offsets by time", func() (kadm.ListedOffsets, error) {
		return a.admin.ListOffsetsAfterMilli(ctx, notBefore.UnixMilli(), a.config.ClicksTopic())
	}, len(committed))
	if err != nil {
		return "", nil, err
	}
	progress = make([]click.PartitionProgress, len(committed))
	for partition := range committed {
		progress[partition] = click.PartitionProgress{
			Partition: int32(partition), Committed: committed[partition], Required: required[partition],
		}
	}
	return topicID, progress, nil
}

// Lag tells, for every partition in order, what is committed and where the
// stream ends.
func (a *Admin) Lag(ctx context.Context) ([]PartitionLag, error) {
	_, committed, err := a.committed(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := a.offsets("find end offsets", func() (kadm.ListedOffsets, error) {
		return a.admin.ListEndOffsets(ctx, a.config.ClicksTopic())
	}, len(committed))
	if err != nil {
		return nil, err
	}
	lags := make([]PartitionLag, len(committed))
	for partition := range committed {
		lags[partition] = PartitionLag{int32(partition), committed[partition], ends[partition]}
	}
	return lags, nil
}

// committed is the topic's id and the group's committed offset per partition;
// the log start where there is none.
func (a *Admin) committed(ctx context.Context) (topicID string, offsets click.Offsets, err error) {
	topic := a.config.ClicksTopic()
	details, err := a.admin.ListTopics(ctx, topic)
	if err != nil {
		return "", nil, brokerError("look at topic "+topic, err)
	}
	detail := details[topic]
	if detail.Err != nil {
		return "", nil, brokerError("look at topic "+topic, detail.Err)
	}
	commits, err := a.admin.FetchOffsets(ctx, a.config.IngesterGroup())
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return "", nil, brokerError("read committed offsets", err)
	}
	starts, err := a.offsets("find log starts", func() (kadm.ListedOffsets, error) {
		return a.admin.ListStartOffsets(ctx, topic)
	}, len(detail.Partitions))
	if err != nil {
		return "", nil, err
	}
	for partition := range starts {
		commit, ok := commits.Lookup(topic, int32(partition))
		if ok && commit.Err != nil {
			return "", nil, brokerError(fmt.Sprintf("read committed offset of partition %d", partition), commit.Err)
		}
		if ok && commit.At >= 0 {
			starts[partition] = commit.At
		}
	}
	return detail.ID.String(), starts, nil
}

// offsets is what list answers, by partition; an error unless it answers for
// each of the partitions.
func (a *Admin) offsets(what string, list func() (kadm.ListedOffsets, error), partitions int) (click.Offsets, error) {
	listed, err := list()
	if err != nil {
		return nil, brokerError(what, err)
	}
	offsets := make(click.Offsets, partitions)
	for partition := range offsets {
		offset, ok := listed.Lookup(a.config.ClicksTopic(), int32(partition))
		if !ok {
			return nil, fmt.Errorf("%s: no answer for partition %d: %w", what, partition, click.ErrUnavailable)
		}
		if offset.Err != nil {
			return nil, brokerError(fmt.Sprintf("%s: partition %d", what, partition), offset.Err)
		}
		offsets[partition] = offset.Offset
	}
	return offsets, nil
}

// brokerError says what failed. Unless a broker said so for good, it is
// click.ErrUnavailable: worth trying again.
func brokerError(what string, err error) error {
	var answer *kerr.Error
	if errors.As(err, &answer) && !answer.Retriable {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, click.ErrUnavailable, err)
}
