package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

// notReadyWait is how often a window that waits for the ingester is looked at.
const notReadyWait = 2 * time.Second

// stream tells how far the ingester has stored the clicks.
type stream interface {
	Progress(ctx context.Context, notBefore time.Time) (topicID string, progress []click.PartitionProgress, err error)
}

// topicLedger knows of which topic the stored offsets are.
type topicLedger interface {
	LedgerTopic(ctx context.Context) (string, error)
}

// ledger is the record of windows and their seals.
type ledger interface {
	topicLedger
	SealedThrough(ctx context.Context) (time.Time, error)
	UnsealedWindows(ctx context.Context, from, before click.Window) ([]click.Window, error)
	DirtyWindows(ctx context.Context, from, before click.Window, limit int) ([]click.Due, error)
	WindowSeal(ctx context.Context, w click.Window) (seal click.Seal, wasFinal bool, err error)
	NextVersion(ctx context.Context) (uint64, error)
	SealWindow(ctx context.Context, seal click.Seal) error
}

// figures computes a window's figures where its clicks are stored.
type figures interface {
	AggregateWindow(ctx context.Context, snapshot click.Snapshot, wasFinal bool, reason click.FlushReason) (restated uint64, err error)
	VerifyWindow(ctx context.Context, snapshot click.Snapshot) (click.Tally, error)
}

// gateways tell what their journals hold.
type gateways interface {
	List(ctx context.Context) ([]click.GatewayState, error)
}

// Flush is the activities that make a window final.
type Flush struct {
	Stream   stream
	Ledger   ledger
	Figures  figures
	Gateways gateways
	Lateness time.Duration    // allowed, after a window's end
	Now      func() time.Time // the wall clock
}

// SnapshotInput asks for a snapshot of Window.
type SnapshotInput struct {
	Window click.Window
}

// SnapshotResult fixes what the flush reads and how it counts as.
type SnapshotResult struct {
	Snapshot click.Snapshot
	// WasFinal says that figures of the window were final before, so that what
	// changes is restated.
	WasFinal bool
}

// FixSnapshot reads the committed offsets, then the version, in that order. It
// fails benignly while the window is not sealable. Each call makes a new
// snapshot; the workflow hands one to all that follows.
func (f *Flush) FixSnapshot(ctx context.Context, in SnapshotInput) (SnapshotResult, error) {
	if in.Window.Before(click.FlushableFrom(f.Now())) {
		return SnapshotResult{}, BadInput(fmt.Sprintf(
			"window %s is older than the raw clicks kept; rebuild it from the lake", in.Window))
	}
	closes := in.Window.ClosedAt(f.Lateness)
	if wait := closes.Sub(f.Now()); wait > 0 {
		return SnapshotResult{}, notReady(fmt.Sprintf("window %s is open until %s", in.Window, closes.Format(time.RFC3339)), wait)
	}
	topic, progress, err := progressOf(ctx, f.Stream, f.Ledger, closes)
	if err != nil {
		return SnapshotResult{}, err
	}
	if !click.Sealable(progress) {
		return SnapshotResult{}, notReady(fmt.Sprintf("window %s waits for the ingester: %s", in.Window, behind(progress)), notReadyWait)
	}
	version, err := f.Ledger.NextVersion(ctx)
	if err != nil {
		return SnapshotResult{}, err
	}
	_, wasFinal, err := f.Ledger.WindowSeal(ctx, in.Window)
	if err != nil {
		return SnapshotResult{}, err
	}
	snapshot := click.Snapshot{Window: in.Window, TopicID: topic, Version: version, Checked: make(click.Offsets, len(progress))}
	for i, p := range progress {
		snapshot.Checked[i] = p.Committed
	}
	return SnapshotResult{Snapshot: snapshot, WasFinal: wasFinal}, nil
}

// progressOf is the stream's progress, checked to be of the topic the ledger
// knows.
func progressOf(ctx context.Context, s stream, l topicLedger, notBefore time.Time) (string, []click.PartitionProgress, error) {
	topic, progress, err := s.Progress(ctx, notBefore)
	if err != nil {
		return "", nil, err
	}
	known, err := l.LedgerTopic(ctx)
	if err != nil {
		return "", nil, err
	}
	if known != "" && known != topic {
		return "", nil, translate(fmt.Errorf("topic id is %s, the ledger was built from %s: %w", topic, known, click.ErrOtherTopic))
	}
	return topic, progress, nil
}

// behind names the first partition that holds a seal back.
func behind(progress []click.PartitionProgress) string {
	for _, p := range progress {
		if p.Committed < p.Required {
			return fmt.Sprintf("partition %d has committed %d of %d", p.Partition, p.Committed, p.Required)
		}
	}
	return "the topic has no partitions"
}

// AggregateInput is a snapshot and why it is aggregated.
type AggregateInput struct {
	SnapshotResult
	Reason click.FlushReason
}

// AggregateResult says how many figures that had been final have changed.
type AggregateResult struct {
	Restated uint64
}

// AggregateWindow writes restatements, then figures. The same window and
// version rewrites the same rows.
func (f *Flush) AggregateWindow(ctx context.Context, in AggregateInput) (AggregateResult, error) {
	restated, err := f.Figures.AggregateWindow(ctx, in.Snapshot, in.WasFinal, in.Reason)
	if err != nil {
		return AggregateResult{}, err
	}
	if restated > 0 {
		activity.GetLogger(ctx).Info("figures restated", "window", in.Snapshot.Window.String(), "restated", restated, "reason", in.Reason)
	}
	return AggregateResult{Restated: restated}, nil
}

// VerifyInput names what was written.
type VerifyInput struct {
	Snapshot click.Snapshot
}

// VerifyResult is what was written, counted three ways.
type VerifyResult struct {
	Tally click.Tally
}

// VerifyWindow only reads.
func (f *Flush) VerifyWindow(ctx context.Context, in VerifyInput) (VerifyResult, error) {
	tally, err := f.Figures.VerifyWindow(ctx, in.Snapshot)
	return VerifyResult{Tally: tally}, err
}

// SealInput is the window's entry in the ledger.
type SealInput struct {
	Seal click.Seal
}

// SealResult is empty.
type SealResult struct{}

// SealWindow makes the window's figures final. The same window and version
// writes the same entry; an older version loses.
func (f *Flush) SealWindow(ctx context.Context, in SealInput) (SealResult, error) {
	return SealResult{}, f.Ledger.SealWindow(ctx, in.Seal)
}
