package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

const (
	// retryWaitMax is how long a backfill with failed chunks waits for
	// retry-failed, before it fails and names them.
	retryWaitMax = time.Hour
	// chunkBusyMax is how long a chunk waits for another reconciliation of its
	// hour; that may wait for approval itself, for a week.
	chunkBusyMax   = 15 * time.Minute
	chunkBusyPause = 30 * time.Second
	// tailAgeMax is when a tail is staged anew: what lies there for a day is
	// deleted, and by now the archive will have it.
	tailAgeMax = 12 * time.Hour
	// tailLead: an hour that ends so long before the tail begins needs none of it.
	tailLead = time.Hour

	reasonsMax      = 100 // failures whose reason is kept
	reasonLengthMax = 300 // characters of it
)

// Chunk is the minutes [From, To) of one hour.
type Chunk struct {
	From click.Window `json:"from"`
	To   click.Window `json:"to"`
}

// FailedChunk is one that failed, and why.
type FailedChunk struct {
	Chunk
	Reason string `json:"reason,omitempty"`
}

// BackfillState is all that a backfill knows, and hands on when it continues as
// new.
type BackfillState struct {
	Run         string           `json:"run"` // names what it stages
	Next        click.Window     `json:"next"`
	Again       []Chunk          `json:"again,omitempty"`  // to be tried again, before Next
	Failed      []FailedChunk    `json:"failed,omitempty"` // in order
	Paused      bool             `json:"paused,omitempty"`
	Parallelism int              `json:"parallelism"`
	Tail        *click.LakeTail  `json:"tail,omitempty"` // nil: not staged yet
	StagedAt    time.Time        `json:"staged_at,omitzero"`
	Totals      BackfillTotals   `json:"totals"`
	Refilled    *uint64          `json:"refilled,omitempty"` // how much was inserted when the seen index was refilled; nil: it was not
	Recent      []BackfillRecent `json:"recent,omitempty"`   // the last chunks done, for the table
}

// BackfillRecent is a line of the table in the UI.
type BackfillRecent struct {
	Chunk
	State    click.ReconciliationState `json:"state"`
	Lake     uint64                    `json:"lake"`
	Missing  uint64                    `json:"missing"`
	Surplus  uint64                    `json:"surplus"`
	Restated uint64                    `json:"restated"`
}

func newBackfillState(ctx workflow.Context, in BackfillInput) *BackfillState {
	return &BackfillState{Run: runID(ctx), Next: in.From, Parallelism: in.Parallelism}
}

// chunks is how many there are in the range.
func (in *BackfillInput) chunks() int {
	first, last := click.HourOf(in.From.Start()), click.HourOf(in.To.Start().Add(-click.WindowLength))
	return int(last.Start().Sub(first.Start())/time.Hour) + 1
}

// backfill is one under way.
type backfill struct {
	in       BackfillInput
	state    *BackfillState
	inFlight int
	running  []Chunk
	begun    int    // chunks, by this run of the workflow
	waits    bool   // for retry-failed
	ended    string // how; empty while it is not over

	rolledUp      int    // days, at the end
	rollupFailure string // of one of them
}

func (b *backfill) hasNext() bool { return len(b.state.Again) > 0 || b.state.Next.Before(b.in.To) }

// mayBegin is the one condition on which chunks are begun.
func (b *backfill) mayBegin() bool {
	return b.hasNext() && !b.state.Paused && b.inFlight < b.state.Parallelism
}

// take is the next chunk.
func (b *backfill) take() Chunk {
	if len(b.state.Again) > 0 {
		c := b.state.Again[0]
		b.state.Again = b.state.Again[1:]
		return c
	}
	c := Chunk{From: b.state.Next, To: click.HourEnd(click.HourOf(b.state.Next.Start()))}
	if b.in.To.Before(c.To) {
		c.To = b.in.To
	}
	b.state.Next = c.To
	return c
}

// chunks begins chunks as it may, and returns when all are done, or when enough
// happened that the workflow has to be continued as new and none is in flight.
func (b *backfill) chunks(ctx workflow.Context) (renew bool, err error) {
	for {
		b.show(ctx, "")
		if err := workflow.Await(ctx, func() bool { return b.mayBegin() || !b.hasNext() && b.inFlight == 0 }); err != nil {
			return false, err
		}
		if !b.hasNext() {
			return false, nil
		}
		if b.isFull(ctx) {
			err := workflow.Await(ctx, func() bool { return b.inFlight == 0 })
			return err == nil, err
		}
		if err := b.stage(ctx); err != nil {
			return false, err
		}
		if !b.mayBegin() { // paused meanwhile
			continue
		}
		c := b.take()
		b.begun++
		b.inFlight++
		b.running = append(b.running, c)
		workflow.Go(ctx, func(ctx workflow.Context) {
			result, err := b.reconcile(ctx, c)
			b.inFlight--
			b.running = slices.DeleteFunc(b.running, func(other Chunk) bool { return other == c })
			b.account(ctx, c, result, err)
			b.show(ctx, "")
		})
	}
}

func (b *backfill) isFull(ctx workflow.Context) bool {
	suggested := workflow.GetInfo(ctx).GetContinueAsNewSuggested()
	return b.begun > 0 && (suggested || b.in.ChunksPerRun > 0 && b.begun >= b.in.ChunksPerRun)
}

// stage has what the archive does not have yet written where the store can read
// it; when there is nothing of the kind it only looks.
func (b *backfill) stage(ctx workflow.Context) error {
	s := b.state
	fresh := s.Tail != nil && (len(s.Tail.Objects) == 0 || workflow.Now(ctx).Sub(s.StagedAt) < tailAgeMax)
	if fresh {
		return nil
	}
	b.show(ctx, "looks for what is not archived yet, and reads it from the stream")
	s.StagedAt = workflow.Now(ctx)
	staged, err := execute(ctx, optionsFor(stepStageTail, "copies what is not archived yet"), archive.StageTail, activities.StageTailInput{Before: b.in.To, Run: s.Run})
	if err != nil {
		return err
	}
	s.Tail = &staged.Tail
	return nil
}

// mayHaveStaged reports whether there may be something to remove; an attempt
// that failed may have left something too.
func (s *BackfillState) mayHaveStaged() bool {
	return !s.StagedAt.IsZero() && (s.Tail == nil || len(s.Tail.Objects) > 0)
}

// tailFor is the tail if it may hold clicks of the chunk, or if the archive may
// not have reached the chunk's end yet.
func (b *backfill) tailFor(c Chunk) *click.LakeTail {
	if b.state.Tail == nil {
		return nil
	}
	for _, o := range b.state.Tail.Objects {
		if o.ClickedMin.Before(c.To.Start()) || o.AppendedMin.Before(c.To.Start().Add(tailLead)) {
			return b.state.Tail
		}
	}
	return nil
}

// reconcile does one chunk and waits for its end. Another reconciliation of the
// hour is waited for, and then the chunk is done all the same.
func (b *backfill) reconcile(ctx workflow.Context, c Chunk) (ReconcileHourResult, error) {
	in := ReconcileHourInput{
		Hour: click.HourOf(c.From.Start()), From: c.From, To: c.To, DryRun: b.in.DryRun, Unlimited: true, Tail: b.tailFor(c),
	}
	summary := spanText(c.From, c.To) + ", backfill"
	if b.in.DryRun {
		summary += ", dry run"
	}
	deadline := workflow.Now(ctx).Add(chunkBusyMax)
	for {
		var result ReconcileHourResult
		err := child(ctx, reconcileOptions(c.From, summary), ReconcileHour, in).Get(ctx, &result)
		if !temporal.IsWorkflowExecutionAlreadyStartedError(err) {
			return result, plain(err)
		}
		if workflow.Now(ctx).After(deadline) {
			return result, fmt.Errorf("%s is being reconciled by somebody else, and was not over after %v; it may wait for approval", ReconcileHourID(c.From), chunkBusyMax)
		}
		if err := workflow.Sleep(ctx, chunkBusyPause); err != nil {
			return result, err
		}
	}
}

// account adds what came of a chunk. One that was cancelled with the backfill is
// neither done nor failed: it is to be done.
func (b *backfill) account(ctx workflow.Context, c Chunk, result ReconcileHourResult, fault error) {
	s := b.state
	if fault != nil && ctx.Err() != nil {
		s.Again = append(s.Again, c)
		return
	}
	if fault != nil {
		failed := FailedChunk{Chunk: c}
		if len(s.Failed) < reasonsMax {
			failed.Reason = shortened(sentence(fault))
		}
		s.Failed = append(s.Failed, failed)
		slices.SortFunc(s.Failed, func(a, b FailedChunk) int { return a.From.Start().Compare(b.From.Start()) })
		return
	}
	b.add(c, result)
}

// add adds what was found and done in a chunk.
func (b *backfill) add(c Chunk, result ReconcileHourResult) {
	s := b.state
	t := &s.Totals
	t.Chunks++
	if result.State == click.ReconciledClean {
		t.Agreed++
	}
	t.Lake += result.Before.Lake
	t.Missing += result.Before.Missing
	t.Surplus += result.Before.Surplus
	t.Inserted += result.Inserted
	t.Deleted += result.Deleted
	t.Restated += result.Restated
	t.Minutes = append(t.Minutes, result.Before.Minutes...)
	slices.SortFunc(t.Minutes, func(a, b click.MinuteDelta) int { return a.Minute.Start().Compare(b.Minute.Start()) })
	if more := len(t.Minutes) - backfillMinutesMax; more > 0 {
		t.Minutes, t.MinutesLeftOut = t.Minutes[:backfillMinutesMax], t.MinutesLeftOut+more
	}
	s.Recent = append(s.Recent, BackfillRecent{
		Chunk: c, State: result.State, Lake: result.Before.Lake,
		Missing: result.Before.Missing, Surplus: result.Before.Surplus, Restated: result.Restated,
	})
	s.Recent = s.Recent[max(len(s.Recent)-chunksShownMax, 0):]
}

func shortened(reason string) string {
	if letters := []rune(reason); len(letters) > reasonLengthMax {
		return string(letters[:reasonLengthMax]) + "…"
	}
	return reason
}

// awaitRetry waits for retry-failed, and reports whether it came.
func (b *backfill) awaitRetry(ctx workflow.Context) (again bool, err error) {
	if err := setState(ctx, StateWaitsForRetry); err != nil {
		return false, err
	}
	b.waits = true
	b.show(ctx, fmt.Sprintf("**waits for the Update `%s`** until %s, then fails", RetryFailedUpdate,
		workflow.Now(ctx).Add(retryWaitMax).UTC().Format(time.RFC3339)))
	again, err = workflow.AwaitWithTimeout(ctx, retryWaitMax, b.hasNext)
	b.waits = false
	if !again || err != nil {
		return false, err
	}
	return true, setState(ctx, b.stateText())
}
