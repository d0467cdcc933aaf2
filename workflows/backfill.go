package workflows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// JobBackfill is the job of Backfill.
const JobBackfill Job = "backfill"

// ErrorChunksFailed is the type of the failure of a backfill of which chunks
// failed and were not tried again.
const ErrorChunksFailed = "ChunksFailed"

const (
	// parallelismMax: a chunk is an hour, and comparing one takes the store up to
	// 4 GB.
	parallelismMax = 4
	// backfillMax is as long as the lake keeps clicks unless it is told otherwise.
	backfillMax = 400 * 24 * time.Hour
	// backfillMinutesMax is how many minutes that differ a result lists.
	backfillMinutesMax = 1000
	// seenReach is how old the clicks can be that a refill of the seen index
	// finds: it reads the store.
	seenReach = click.RawRetention
)

const backfillExample = `the input is {"from":"2026-11-23T10:00Z","to":"2026-11-23T15:30Z","dry_run":true,"parallelism":1}`

// BackfillInput is what an operator gives:
// {"from":"2026-11-23T10:00Z","to":"2026-11-23T15:30Z","dry_run":true,"parallelism":1}.
type BackfillInput struct {
	From click.Window `json:"from,omitzero"`
	// To is the end, not included. The minute that is open now may be part of the
	// range: it is waited for. Left away it is the end of that minute.
	To          click.Window `json:"to,omitzero"`
	DryRun      bool         `json:"dry_run,omitempty"`     // only look
	Parallelism int          `json:"parallelism,omitempty"` // hours at a time; 1 when left away
	// ChunksPerRun has it continue as new after so many chunks; left away, when
	// the server suggests it.
	ChunksPerRun int `json:"chunks_per_run,omitempty"`
	// State is what the run before handed on. It is not for operators.
	State *BackfillState `json:"state,omitempty"`

	fault string
}

// UnmarshalJSON never fails; a fault is told by the workflow.
func (in *BackfillInput) UnmarshalJSON(text []byte) error {
	type fields BackfillInput
	in.fault = readInput(text, (*fields)(in))
	return nil
}

// check completes and judges what an operator gave.
func (in *BackfillInput) check(now time.Time) error {
	end := click.WindowOf(now).Next() // of the minute that is open
	none := click.Window{}
	if in.To == none {
		in.To = end
	}
	if in.Parallelism == 0 {
		in.Parallelism = 1
	}
	switch {
	case in.fault != "":
		return activities.BadInput(in.fault + "; " + backfillExample)
	case in.From == none:
		return activities.BadInput("no from given; " + backfillExample)
	case end.Before(in.To):
		return activities.BadInput(fmt.Sprintf("to %s is in the future; the latest is %s, the end of the minute that is open now", in.To, end))
	case !in.From.Before(in.To):
		return activities.BadInput(fmt.Sprintf("from %s is not before to %s", in.From, in.To))
	case in.To.Start().Sub(in.From.Start()) > backfillMax:
		return activities.BadInput(fmt.Sprintf("%s to %s is longer than %d days", in.From, in.To, int(backfillMax.Hours()/24)))
	case in.ChunksPerRun < 0:
		return activities.BadInput(fmt.Sprintf("chunks_per_run %d is less than 0", in.ChunksPerRun))
	}
	return checkParallelism(in.Parallelism)
}

func checkParallelism(parallelism int) error {
	if parallelism < 1 || parallelism > parallelismMax {
		return activities.BadInput(fmt.Sprintf("parallelism %d is not from 1 to %d", parallelism, parallelismMax))
	}
	return nil
}

// BackfillTotals is what the chunks that are done came to.
type BackfillTotals struct {
	Chunks   int    `json:"chunks"` // that were not failures
	Agreed   int    `json:"agreed"` // chunks in which nothing differed
	Lake     uint64 `json:"lake"`   // clicks that count, by the lake
	Missing  uint64 `json:"missing"`
	Surplus  uint64 `json:"surplus"`
	Inserted uint64 `json:"inserted"`
	Deleted  uint64 `json:"deleted"`
	Restated uint64 `json:"restated"` // figures that had been final and changed
	// Minutes are those that differed, at most backfillMinutesMax, the earliest.
	Minutes        []click.MinuteDelta `json:"minutes,omitempty"`
	MinutesLeftOut int                 `json:"minutes_left_out,omitempty"`
}

// BackfillResult is what a backfill did, or of a dry run what it would do.
type BackfillResult struct {
	BackfillTotals
	SeenRebuilt bool `json:"seen_rebuilt"` // the seen index was refilled from the store
	// DaysRolledUp is how many days were due and summed up anew. What could not be
	// is in RollupFailure; the nightly tick tries it again.
	DaysRolledUp  int    `json:"days_rolled_up"`
	RollupFailure string `json:"rollup_failure,omitempty"`
}

// rollupChange is since when a backfill rolls up the days that it changed.
const rollupChange = "roll-up-after-backfill"

// Backfill makes the store what the lake says, over any range, from nothing if
// need be: hour by hour, each a ReconcileHour that repairs whatever differs.
// What the archive does not have yet is read from the stream. A chunk that fails
// stops no other. The same backfill again changes nothing.
func Backfill(ctx workflow.Context, in BackfillInput) (BackfillResult, error) {
	if in.State == nil || in.fault != "" {
		if err := in.check(workflow.Now(ctx)); err != nil {
			return BackfillResult{}, err
		}
		in.State = newBackfillState(ctx, in)
	}
	b := &backfill{in: in, state: in.State}
	if err := b.listen(ctx); err != nil {
		return BackfillResult{}, err
	}
	if err := describe(ctx, JobBackfill, in.From); err != nil {
		return BackfillResult{}, err
	}
	renew, err := b.work(ctx)
	if renew { // nothing is in flight any more, and all there is is handed on
		if err = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err == nil {
			return BackfillResult{}, workflow.NewContinueAsNewError(ctx, Backfill, b.in)
		}
	}
	if err == nil {
		err = b.rollUp(ctx)
	}
	return b.end(ctx, err)
}

// work does all chunks, then those that are to be tried again, until none is
// left or nobody asks any more. It returns early to be continued as new.
func (b *backfill) work(ctx workflow.Context) (renew bool, err error) {
	for {
		if renew, err := b.chunks(ctx); renew || err != nil {
			return renew, err
		}
		if err := b.refillSeen(ctx); err != nil {
			return false, err
		}
		if len(b.state.Failed) == 0 {
			return false, nil
		}
		if again, err := b.awaitRetry(ctx); !again {
			return false, err
		}
	}
}

// end tidies up, cancelled or not, and tells what came of it.
func (b *backfill) end(ctx workflow.Context, fault error) (BackfillResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// Chunks were asked to end if this was; one that repairs goes on to its end.
	if err := workflow.Await(ctx, func() bool { return b.inFlight == 0 && workflow.AllHandlersFinished(ctx) }); err != nil {
		return BackfillResult{}, err
	}
	if b.state.mayHaveStaged() {
		b.show(ctx, "removes what was staged of the stream")
		_, err := execute(ctx, optionsFor(stepRemoveTail, ""), archive.RemoveTail, activities.RemoveTailInput{Run: b.state.Run})
		if err != nil { // no harm: CleanLake does it in a day
			workflow.GetLogger(ctx).Warn("what was staged stays", "error", err)
		}
	}
	result := BackfillResult{BackfillTotals: b.state.Totals, SeenRebuilt: b.state.Refilled != nil, DaysRolledUp: b.rolledUp, RollupFailure: b.rollupFailure}
	state := "done"
	switch {
	case temporal.IsCanceledError(fault):
		state = "cancelled"
	case fault == nil && len(b.state.Failed) > 0:
		fault = temporal.NewNonRetryableApplicationError(b.failure(), ErrorChunksFailed, nil, result)
		state = "failed"
	case fault != nil:
		state = "failed"
	}
	b.ended = state
	b.show(ctx, "")
	if err := setState(ctx, state); err != nil {
		return result, errors.Join(fault, err)
	}
	return result, fault
}

// failure names the chunks that failed, in one sentence.
func (b *backfill) failure() string {
	var names []string
	for _, f := range b.state.Failed[:min(len(b.state.Failed), namesMax)] {
		names = append(names, spanText(f.From, f.To))
	}
	if more := len(b.state.Failed) - namesMax; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%d of %d chunks failed (%s); the first because: %s",
		len(b.state.Failed), b.in.chunks(), strings.Join(names, ", "), b.state.Failed[0].Reason)
}

// refillSeen has the seen index refilled once clicks may have come into the
// store that it must know. It was perhaps rebuilt itself while the store was
// emptier, by a run that nobody remembers, so a range that the store still
// holds is reason enough, the first time. It is harmless.
func (b *backfill) refillSeen(ctx workflow.Context) error {
	s := b.state
	inReach := workflow.Now(ctx).Sub(b.in.To.Start()) < seenReach
	if b.in.DryRun || s.Totals.Lake == 0 || !inReach || s.Refilled != nil && *s.Refilled == s.Totals.Inserted {
		return nil
	}
	b.show(ctx, "has the seen index refilled")
	inserted := s.Totals.Inserted
	if err := refillAgain(ctx); err != nil {
		return temporal.NewNonRetryableApplicationError("the clicks are stored, but the seen index could not be refilled; run RebuildSeen with force: "+sentence(err),
			activities.ErrorSeenLost, err)
	}
	s.Refilled = &inserted
	return nil
}

// refillAgain rebuilds the seen index and waits for its end; a rebuild that runs
// already may have read before the clicks were there, and is waited for first.
func refillAgain(ctx workflow.Context) error {
	deadline := workflow.Now(ctx).Add(rebuildTimeout)
	for {
		err := child(ctx, rebuildOptions(), RebuildSeen, RebuildSeenInput{Force: true}).Get(ctx, nil)
		if !temporal.IsWorkflowExecutionAlreadyStartedError(err) || workflow.Now(ctx).After(deadline) {
			return plain(err)
		}
		if err := workflow.Sleep(ctx, chunkBusyPause); err != nil {
			return err
		}
	}
}

// rollUp sums up the days that are due: those that the backfill changed, and
// what else is. Figures are right without it, only slower to read, so its
// failure is told and is not the backfill's.
func (b *backfill) rollUp(ctx workflow.Context) error {
	if b.in.DryRun || b.state.Totals.Chunks == 0 ||
		workflow.GetVersion(ctx, rollupChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return nil
	}
	id := backfillRollupID(b.state.Run)
	b.show(ctx, "has the days that are due rolled up: `"+id+"`")
	var done RollupTickResult
	err := child(ctx, backfillRollupOptions(id), RollupTick, RollupTickInput{}).Get(ctx, &done)
	if ctx.Err() != nil {
		return err
	}
	b.rolledUp = done.RolledUp
	if err != nil {
		b.rollupFailure = sentence(err)
		workflow.GetLogger(ctx).Warn("not all days that are due could be rolled up", "error", err)
	}
	return nil
}
