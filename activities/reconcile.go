package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

const (
	// archiveWait is how often a span that waits for the archive is looked at.
	archiveWait = 15 * time.Second
	// progressInterval is how often a long query gives a sign of life.
	progressInterval = 10 * time.Second
)

// reconcileLake is what a reconciliation asks of the lake. What is missing is
// click.ErrLakeIncomplete.
type reconcileLake interface {
	LastManifest(ctx context.Context) (click.Manifest, error)
	Manifests(ctx context.Context, first, through click.Window) (manifests []click.Manifest, begins bool, err error)
	CheckSizes(ctx context.Context, objects []click.LakeObject) error
}

// reconcileLedger is what a reconciliation asks of the ledger.
type reconcileLedger interface {
	topicLedger
	NextVersion(ctx context.Context) (uint64, error)
}

// reconcileStore compares and mends where the rows are. Each calls progress
// with what it is doing.
type reconcileStore interface {
	CompareLake(ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, run string, pass int, progress func(string)) (click.Comparison, error)
	RepairClicks(ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, progress func(string)) (inserted, deleted uint64, err error)
	SpanIsEmpty(ctx context.Context, from, to click.Window) (bool, error)
	BringBack(ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, run string, progress func(string)) (click.Comparison, error)
	AggregateSpan(ctx context.Context, snapshot click.SpanSnapshot, reason click.FlushReason, progress func(string)) (restated uint64, err error)
	VerifySpan(ctx context.Context, snapshot click.SpanSnapshot, progress func(string)) (map[click.Window]click.Tally, error)
	SealSpan(ctx context.Context, seals []click.Seal) error
	RebuildFigures(ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, reason click.FlushReason, progress func(string)) (tallies map[click.Window]click.Tally, restated uint64, err error)
}

// Reconcile is the activities that compare the lake with the store and mend the
// store. Rows never pass through them: the store reads the lake itself.
type Reconcile struct {
	Stream   stream
	Lake     reconcileLake
	Ledger   reconcileLedger
	Store    reconcileStore
	Validity time.Duration    // of click tokens
	Lateness time.Duration    // allowed, after a window's end
	Now      func() time.Time // the wall clock
}

// FixLakeInput names a span and what is known of it beside the lake.
type FixLakeInput struct {
	From click.Window    `json:"from"` // [From, To), at most an hour, never across an hour's border
	To   click.Window    `json:"to"`
	Tail *click.LakeTail `json:"tail,omitempty"` // for what is not archived yet; nil: wait until it is
}

// FixLakeResult is what all that follows reads.
type FixLakeResult struct {
	Snapshot click.LakeSnapshot `json:"snapshot"`
}

// FixLake decides what a reconciliation reads: the committed offsets, then the
// manifests there are, then the version, in that order. It fails benignly while
// the span's clicks may not all be stored and archived, and for good, naming
// what is missing, when the lake is incomplete. It only reads.
func (r *Reconcile) FixLake(ctx context.Context, in FixLakeInput) (FixLakeResult, error) {
	if !click.WithinHour(in.From, in.To) {
		return FixLakeResult{}, BadInput(fmt.Sprintf("[%s, %s) is not some minutes of one hour", in.From, in.To))
	}
	closes := in.To.Start().Add(r.Lateness)
	if wait := closes.Sub(r.Now()); wait > 0 {
		return FixLakeResult{}, notReady(fmt.Sprintf("[%s, %s) is open until %s", in.From, in.To, closes.Format(time.RFC3339)), wait)
	}
	_, stop := tellProgress(ctx)
	defer stop()
	topic, progress, err := progressOf(ctx, r.Stream, r.Ledger, closes)
	if err != nil {
		return FixLakeResult{}, err
	}
	if !click.Sealable(progress) {
		return FixLakeResult{}, notReady(fmt.Sprintf("[%s, %s) waits for the ingester: %s", in.From, in.To, behind(progress)), notReadyWait)
	}
	snapshot := click.LakeSnapshot{From: in.From, To: in.To, TopicID: topic, Tail: in.Tail, FiguresOnly: in.From.Before(click.FlushableFrom(r.Now()))}
	last, err := r.Lake.LastManifest(ctx)
	switch {
	case err == nil:
		snapshot.Through = &last.Window
	case !errors.Is(err, click.ErrNotFound):
		return FixLakeResult{}, translate(err)
	}
	lake, err := r.lake(ctx, snapshot)
	if err != nil {
		return FixLakeResult{}, err
	}
	archived := lake.Archived()
	for partition, p := range progress {
		// What is archived but not yet stored is not judged either.
		if partition >= len(archived) || archived[partition] < p.Required {
			return FixLakeResult{}, notReady(fmt.Sprintf("[%s, %s) waits for the archive in partition %d, up to offset %d", in.From, in.To, partition, p.Required), archiveWait)
		}
		snapshot.Archived = append(snapshot.Archived, min(archived[partition], p.Committed))
	}
	plan := lake.Plan(in.From, in.To, r.Validity)
	if err := r.Lake.CheckSizes(ctx, plan.Objects()); err != nil {
		return FixLakeResult{}, translate(err)
	}
	snapshot.Lost = plan.Lost()
	snapshot.Version, err = r.Ledger.NextVersion(ctx)
	return FixLakeResult{Snapshot: snapshot}, err
}

// lake is what the manifests of a snapshot and its tail say there is. They do
// not change: it is the same for all that read the snapshot.
func (r *Reconcile) lake(ctx context.Context, snapshot click.LakeSnapshot) (click.Lake, error) {
	activity.RecordHeartbeat(ctx, "reads the manifests")
	lake := click.Lake{Tail: snapshot.Tail}
	if snapshot.Through != nil {
		var err error
		first := click.LakeFrom(snapshot.From, r.Validity)
		if snapshot.Through.Before(first) { // long ago, and all that came since is in the tail
			first = *snapshot.Through
		}
		if lake.Manifests, lake.Begins, err = r.Lake.Manifests(ctx, first, *snapshot.Through); err != nil {
			return lake, translate(err)
		}
		if id := lake.Manifests[0].TopicID; id != snapshot.TopicID {
			return lake, translate(fmt.Errorf("the lake was archived from topic id %s, the topic's is %s: %w", id, snapshot.TopicID, click.ErrOtherTopic))
		}
	}
	if lake.Tail != nil && lake.Tail.TopicID != snapshot.TopicID {
		return lake, translate(fmt.Errorf("the tail is of topic id %s, the topic's is %s: %w", lake.Tail.TopicID, snapshot.TopicID, click.ErrOtherTopic))
	}
	return lake, translate(lake.Check())
}

// CompareLakeInput is a snapshot, and where what differs is recorded.
type CompareLakeInput struct {
	Snapshot click.LakeSnapshot `json:"snapshot"`
	Run      string             `json:"run,omitempty"`  // empty: nothing is recorded
	Pass     int                `json:"pass,omitempty"` // 1: before a repair, 2: after it
	// Quick does not count the lake when nothing of the span is stored or told:
	// everything is missing then.
	Quick bool `json:"quick,omitempty"`
}

// CompareLakeResult is what the span looks like from both sides.
type CompareLakeResult struct{ click.Comparison }

// CompareLake compares what the lake counts in the span with what is stored and
// what is told. The same snapshot, run and pass records the same rows.
func (r *Reconcile) CompareLake(ctx context.Context, in CompareLakeInput) (CompareLakeResult, error) {
	if in.Quick && !in.Snapshot.FiguresOnly {
		empty, err := r.Store.SpanIsEmpty(ctx, in.Snapshot.From, in.Snapshot.To)
		if err != nil || empty {
			return CompareLakeResult{click.Comparison{Uncounted: empty}}, err
		}
	}
	plan, err := r.plan(ctx, in.Snapshot)
	if err != nil {
		return CompareLakeResult{}, err
	}
	progress, stop := tellProgress(ctx)
	defer stop()
	comparison, err := r.Store.CompareLake(ctx, in.Snapshot, plan, in.Run, in.Pass, progress)
	return CompareLakeResult{comparison}, err
}

// RepairClicksInput is the snapshot that the store is mended by.
type RepairClicksInput struct {
	Snapshot click.LakeSnapshot `json:"snapshot"`
	// Empty says that the comparison found nothing stored: everything is
	// inserted without looking for what differs.
	Empty bool `json:"empty,omitempty"`
	// Run is where what Empty finds missing is recorded, as the comparison's first
	// pass, if that has not counted it. Empty: nothing is recorded.
	Run string `json:"run,omitempty"`
}

// RepairClicksResult is how many clicks were changed.
type RepairClicksResult struct {
	Inserted uint64 `json:"inserted"`
	Deleted  uint64 `json:"deleted"`
	// Brought is what a comparison would have found, of an Empty repair.
	Brought *click.Comparison `json:"brought,omitempty"`
}

// RepairClicks inserts the clicks of the lake that are not stored and deletes
// the stored ones that do not count. The same snapshot again changes nothing.
// Figures are not touched: see FlushSpan.
func (r *Reconcile) RepairClicks(ctx context.Context, in RepairClicksInput) (RepairClicksResult, error) {
	plan, err := r.plan(ctx, in.Snapshot)
	if err != nil {
		return RepairClicksResult{}, err
	}
	progress, stop := tellProgress(ctx)
	defer stop()
	if in.Empty {
		brought, err := r.Store.BringBack(ctx, in.Snapshot, plan, in.Run, progress)
		return RepairClicksResult{Inserted: brought.Missing, Brought: &brought}, err
	}
	inserted, deleted, err := r.Store.RepairClicks(ctx, in.Snapshot, plan, progress)
	return RepairClicksResult{Inserted: inserted, Deleted: deleted}, err
}

// plan is what a snapshot reads: the same each time.
func (r *Reconcile) plan(ctx context.Context, snapshot click.LakeSnapshot) (click.LakePlan, error) {
	lake, err := r.lake(ctx, snapshot)
	if err != nil {
		return click.LakePlan{}, err
	}
	return lake.Plan(snapshot.From, snapshot.To, r.Validity), nil
}

// tellProgress gives signs of life that say what is being done, until stopped.
func tellProgress(ctx context.Context) (progress func(string), stop func()) {
	var doing atomic.Value
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				activity.RecordHeartbeat(ctx, doing.Load())
			case <-done:
				return
			}
		}
	}()
	return func(sentence string) {
		doing.Store(sentence)
		activity.RecordHeartbeat(ctx, sentence)
	}, sync.OnceFunc(func() { close(done) })
}
