package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

const (
	// tailRecordsMax is how much of the stream is staged: an hour and a half at
	// 10,000 clicks/s. An archive that is further behind is waited for.
	tailRecordsMax = 64_000_000
	// tailBehindWait is how often it is looked whether the archive has caught up.
	tailBehindWait = 30 * time.Second
)

// StageTailInput says up to when clicks are needed, and who needs them.
type StageTailInput struct {
	Before click.Window `json:"before"` // clicks of the minutes before it
	Run    string       `json:"run"`    // names where they are staged
}

// StageTailResult is what was staged; no objects when the archive has all.
type StageTailResult struct {
	Tail click.LakeTail `json:"tail"`
}

// StageTail copies what the ingester has stored and the archive does not have
// yet from the stream to where a backfill reads it: from the end of the last
// manifest to the committed offsets. It fails benignly until every click
// appended before the end of the minutes, and the allowed lateness, is stored.
// What it writes is no part of the lake; RemoveTail deletes it.
//
// Run again it stages what there is then. One piece at a time is in memory.
func (a *Archive) StageTail(ctx context.Context, in StageTailInput) (StageTailResult, error) {
	closes := in.Before.Start().Add(a.Lateness)
	if wait := closes.Sub(a.Now()); wait > 0 {
		return StageTailResult{}, notReady(fmt.Sprintf("the minutes before %s are open until %s", in.Before, closes.Format(time.RFC3339)), wait)
	}
	// The archive first: what it has by then is not staged.
	last, err := a.Lake.LastManifest(ctx)
	if err != nil && !errors.Is(err, click.ErrNotFound) {
		return StageTailResult{}, err
	}
	topicID, progress, err := a.Progress.Progress(ctx, closes)
	if err != nil {
		return StageTailResult{}, translate(err)
	}
	if last.TopicID != "" && last.TopicID != topicID {
		return StageTailResult{}, translate(fmt.Errorf("the stream has id %s, the lake was archived from %s: %w", topicID, last.TopicID, click.ErrOtherTopic))
	}
	if !click.Sealable(progress) {
		return StageTailResult{}, notReady("it waits for the ingester: "+behind(progress), notReadyWait)
	}
	if archived(last.Ranges, progress) {
		return StageTailResult{}, nil
	}
	_, _, bounds, err := a.Stream.Bounds(ctx, closes)
	if err != nil {
		return StageTailResult{}, translate(err)
	}
	ranges, err := tailRanges(last.Ranges, bounds, progress)
	if err != nil {
		return StageTailResult{}, translate(err)
	}
	return a.stage(ctx, in, topicID, ranges)
}

// archived reports whether the ranges of the last manifest have passed what is
// required of every partition.
func archived(ranges []click.ArchivedRange, progress []click.PartitionProgress) bool {
	for i, p := range progress {
		if i >= len(ranges) || ranges[i].Next < p.Required {
			return false
		}
	}
	return true
}

// tailRanges are what is stored and not archived, by partition.
func tailRanges(archived []click.ArchivedRange, bounds []click.StreamBounds, progress []click.PartitionProgress) ([]click.PartitionRange, error) {
	if len(bounds) != len(progress) {
		return nil, fmt.Errorf("the stream had %d partitions, then %d: %w", len(progress), len(bounds), click.ErrUnavailable)
	}
	for i := range bounds {
		bounds[i].Next = progress[i].Committed
	}
	ranges, err := click.ContinueRanges(archived, bounds)
	if err != nil {
		return nil, err
	}
	records := int64(0)
	for _, r := range ranges {
		records += r.Len()
	}
	if records > tailRecordsMax {
		return nil, notReady(fmt.Sprintf("the archive is %d records behind, more than the %d that are staged; it is waited for", records, tailRecordsMax), tailBehindWait)
	}
	return ranges, nil
}

func (a *Archive) stage(ctx context.Context, in StageTailInput, topicID string, ranges []click.PartitionRange) (StageTailResult, error) {
	tail := click.LakeTail{TopicID: topicID, First: make(click.Offsets, len(ranges)), Next: make(click.Offsets, len(ranges))}
	for i, r := range ranges {
		tail.First[i], tail.Next[i] = r.First, r.Next
		for _, piece := range r.Pieces(objectRecordsMax) {
			activity.RecordHeartbeat(ctx, fmt.Sprintf("partition %d, offset %d", r.Partition, piece.First))
			clicks, _, err := a.read(ctx, r.Partition, piece)
			if err != nil {
				return StageTailResult{}, translate(err)
			}
			if len(clicks) == 0 {
				continue
			}
			object, err := a.write(ctx, click.StagedObjectPath(in.Run, r.Partition, piece), piece, clicks)
			if err != nil {
				return StageTailResult{}, err
			}
			tail.Objects = append(tail.Objects, object)
		}
	}
	return StageTailResult{Tail: tail}, nil
}

// RemoveTailInput names a backfill.
type RemoveTailInput struct {
	Run string `json:"run"`
}

// RemoveTailResult is what was deleted.
type RemoveTailResult struct {
	Removed int `json:"removed"`
}

// RemoveTail deletes what was staged for a backfill. Nothing there is success.
func (a *Archive) RemoveTail(ctx context.Context, in RemoveTailInput) (RemoveTailResult, error) {
	out := RemoveTailResult{}
	if in.Run == "" {
		return out, BadInput("no run given")
	}
	err := a.Lake.EachStagedObject(ctx, click.StagedFolder(in.Run), func(path string, _ time.Time, _ int64) error {
		activity.RecordHeartbeat(ctx, path)
		if err := a.Lake.RemoveObject(ctx, path); err != nil {
			return err
		}
		out.Removed++
		return nil
	})
	return out, err
}
