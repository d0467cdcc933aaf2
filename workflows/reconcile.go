package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// JobReconcile is the job of ReconcileHour.
const JobReconcile Job = "reconcile"

// Types of the failures of a reconciliation that was done and needs somebody.
const (
	ErrorDiffers    = "Differs"    // lake and store differ after the repair too
	ErrorUnanswered = "Unanswered" // nobody approved or declined the repair
)

const (
	// approvalWaitMax is how long a repair beyond the limit waits to be approved.
	approvalWaitMax = 7 * 24 * time.Hour
	// reconcileTimeout leaves the rest of a reconciliation a day.
	reconcileTimeout = approvalWaitMax + 24*time.Hour
	// verifyRoundsMax is how often it is looked whether the repair has worked. A
	// figure can fall behind once more by a late click.
	verifyRoundsMax = 3
)

var (
	reconcile       *activities.Reconcile       // typed nils: they only name the activities
	reconciliations *activities.Reconciliations //
)

// ReconcileHourID is the id of the reconciliation of the hour that w is in, or
// of some of its minutes, whoever starts it: an hour is never repaired by two at
// a time.
func ReconcileHourID(w click.Window) string { return "reconcile/" + click.HourText(w) }

const reconcileExample = `the input is {"hour":"2026-11-23T10:00Z","dry_run":true}`

// ReconcileHourInput is what an operator may give by hand:
// {"hour":"2026-11-23T10:00Z","dry_run":true}.
type ReconcileHourInput struct {
	Hour click.Window `json:"hour,omitzero"` // its first minute
	// From and To narrow it to the minutes [From, To).
	From   click.Window `json:"from,omitzero"`
	To     click.Window `json:"to,omitzero"`
	DryRun bool         `json:"dry_run,omitempty"` // only look
	// Up to how much is repaired unasked: whichever of the two is more. When one
	// is given and the other is not, the other is 0; with none of them it is
	// click.DefaultRepairLimit.
	RepairLimitClicks *uint64  `json:"repair_limit_clicks,omitempty"`
	RepairLimitShare  *float64 `json:"repair_limit_share,omitempty"` // of the lake's clicks, 0 to 1
	Unlimited         bool     `json:"unlimited,omitempty"`          // repair whatever differs: a backfill
	// Tail is what a backfill staged of the stream; else the archive is waited for.
	Tail *click.LakeTail `json:"tail,omitempty"`

	fault string
}

// UnmarshalJSON never fails; a fault is told by the workflow.
func (in *ReconcileHourInput) UnmarshalJSON(text []byte) error {
	type fields ReconcileHourInput
	in.fault = readInput(text, (*fields)(in))
	return nil
}

// span is the minutes that are reconciled.
func (in *ReconcileHourInput) span(now time.Time) (from, to click.Window, err error) {
	none := click.Window{}
	hour, from, to := in.Hour, in.From, in.To
	if hour == none && from != none && to != none {
		hour = click.HourOf(from.Start())
	}
	if from == none {
		from = hour
	}
	if to == none {
		to = click.HourEnd(hour)
	}
	share := in.RepairLimitShare
	switch {
	case in.fault != "":
		return from, to, activities.BadInput(in.fault + "; " + reconcileExample)
	case hour == none:
		return from, to, activities.BadInput("no hour given; " + reconcileExample)
	case hour != click.HourOf(hour.Start()):
		return from, to, activities.BadInput(fmt.Sprintf("no hour begins at %s; %s", hour, reconcileExample))
	case !from.Before(to):
		return from, to, activities.BadInput(fmt.Sprintf("from %s is not before to %s", from, to))
	case hour != click.HourOf(from.Start()) || !click.WithinHour(from, to):
		return from, to, activities.BadInput(fmt.Sprintf("%s to %s is not within the hour %s", from, to, hour))
	case now.Before(from.Start()):
		return from, to, activities.BadInput(fmt.Sprintf("%s is in the future", from))
	case share != nil && (*share < 0 || *share > 1):
		return from, to, activities.BadInput(fmt.Sprintf("repair_limit_share %v is not from 0 to 1", *share))
	}
	return from, to, nil
}

func (in *ReconcileHourInput) limit() click.RepairLimit {
	if in.RepairLimitClicks == nil && in.RepairLimitShare == nil {
		return click.DefaultRepairLimit
	}
	limit := click.RepairLimit{}
	if in.RepairLimitClicks != nil {
		limit.Clicks = *in.RepairLimitClicks
	}
	if in.RepairLimitShare != nil {
		limit.Share = *in.RepairLimitShare
	}
	return limit
}

// ReconcileHourResult is what was found and done.
type ReconcileHourResult struct {
	State  click.ReconciliationState `json:"state"`
	Reason string                    `json:"reason,omitempty"`
	Before click.Comparison          `json:"before"`
	After  *click.Comparison         `json:"after,omitempty"` // absent when nothing was repaired

	Inserted uint64 `json:"inserted"`
	Deleted  uint64 `json:"deleted"`
	Restated uint64 `json:"restated"` // figures that had been final and changed
}

// ReconcileHour compares lake and store over an hour, or some minutes of it,
// repairs what differs and looks again. Beyond the limit it waits until the
// repair is approved. Run again, it changes nothing. A lake that is not
// complete is not judged by: it fails, as does what still differs in the end.
func ReconcileHour(ctx workflow.Context, in ReconcileHourInput) (ReconcileHourResult, error) {
	from, to, err := in.span(workflow.Now(ctx))
	if err != nil {
		return ReconcileHourResult{}, err
	}
	r := &reconciliation{in: in, account: click.Reconciliation{
		Run:  runID(ctx),
		From: from, To: to, DryRun: in.DryRun,
		Snapshot: click.LakeSnapshot{From: from, To: to},
	}}
	if err := r.listen(ctx); err != nil {
		return ReconcileHourResult{}, err
	}
	if err := describe(ctx, JobReconcile, from); err != nil {
		return ReconcileHourResult{}, err
	}
	return r.run(ctx)
}

// runID names this run, and stays the same when the run is reset.
func runID(ctx workflow.Context) string {
	info := workflow.GetInfo(ctx)
	return cmp.Or(info.OriginalRunID, info.WorkflowExecution.RunID)
}

// reconciliation is one under way.
type reconciliation struct {
	in      ReconcileHourInput
	account click.Reconciliation
	waits   bool      // for decided
	decided *decision // nil: not yet
}

func (r *reconciliation) run(ctx workflow.Context) (ReconcileHourResult, error) {
	var err error
	if r.account.Before, err = r.look(ctx, 1, r.account.Run); err != nil {
		return r.refuse(ctx, err)
	}
	switch {
	case r.account.Before.Agrees():
		return r.end(ctx, click.ReconciledClean, "")
	case r.in.DryRun:
		return r.end(ctx, click.ReconciledDiffers, "a dry run: nothing was repaired")
	case !r.in.Unlimited && !r.in.limit().Allows(r.account.Before):
		if repaired, result, err := r.ask(ctx); !repaired {
			return result, err
		}
	}
	// What is begun now is carried through, cancelled or not: the figures of
	// clicks that were deleted would stay as they are.
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	after, err := r.repair(ctx)
	if err != nil {
		return r.refuse(ctx, err)
	}
	if r.account.After = &after; after.Agrees() {
		if r.account.Before.Agrees() { // nothing was stored, and nothing is to be
			return r.end(ctx, click.ReconciledClean, "")
		}
		return r.end(ctx, click.ReconciledRepaired, "")
	}
	reason := fmt.Sprintf("after the repair %d places still differ: %d clicks are missing, %d surplus, %d figures wrong",
		after.Places, after.Missing, after.Surplus, after.WrongFigures)
	return r.fail(ctx, click.ReconciledDiffers, ErrorDiffers, reason)
}

// look fixes what is read and compares.
func (r *reconciliation) look(ctx workflow.Context, pass int, run string) (click.Comparison, error) {
	r.show(ctx, "waits until lake and store have every click that came in time")
	in := activities.FixLakeInput{From: r.account.From, To: r.account.To, Tail: r.in.Tail}
	fixed, err := execute(ctx, optionsFor(stepFixLake, "waits for lake and store, fixes what is read"), reconcile.FixLake, in)
	if err != nil {
		return click.Comparison{}, err
	}
	r.account.Snapshot = fixed.Snapshot
	return r.compare(ctx, pass, run)
}

func (r *reconciliation) compare(ctx workflow.Context, pass int, run string) (click.Comparison, error) {
	summary := "before the repair"
	if pass > 1 {
		summary = "after the repair"
	}
	r.show(ctx, "compares lake and store; the heartbeat of the pending activity says how far it is")
	compared, err := execute(ctx, optionsFor(stepCompareLake, summary), reconcile.CompareLake,
		activities.CompareLakeInput{Snapshot: r.account.Snapshot, Run: run, Pass: pass, Quick: pass == 1 && r.in.Unlimited && !r.in.DryRun})
	return compared.Comparison, err
}

// repair makes the store what the lake says, flushes, and looks again.
func (r *reconciliation) repair(ctx workflow.Context) (click.Comparison, error) {
	before := r.account.Before
	if r.account.Snapshot.FiguresOnly {
		return r.rebuild(ctx)
	}
	if before.Uncounted || before.ToRepair() > 0 {
		if err := r.mend(ctx, before); err != nil {
			return click.Comparison{}, err
		}
	}
	minutes := minutesOf(before)
	if r.in.Unlimited {
		minutes = nil // all: those without clicks were perhaps never sealed
	}
	if err := r.flush(ctx, minutes); err != nil {
		return click.Comparison{}, err
	}
	return r.verify(ctx)
}

// mend inserts and deletes clicks. Of an empty span the comparison has not
// counted what is missing: the repair tells it.
func (r *reconciliation) mend(ctx workflow.Context, before click.Comparison) error {
	in := activities.RepairClicksInput{Snapshot: r.account.Snapshot, Empty: before.Store == 0}
	doing, summary := fmt.Sprintf("inserts %d clicks and deletes %d", before.Missing, before.Surplus), fmt.Sprintf("+%d −%d clicks", before.Missing, before.Surplus)
	if before.Uncounted {
		in.Run = r.account.Run
		doing, summary = "nothing is stored: inserts all clicks that the lake counts", "all clicks of the lake"
	}
	r.show(ctx, doing)
	repaired, err := execute(ctx, optionsFor(stepRepairClicks, summary), reconcile.RepairClicks, in)
	if err != nil {
		return err
	}
	r.account.Inserted, r.account.Deleted = repaired.Inserted, repaired.Deleted
	if before.Uncounted && repaired.Brought != nil {
		r.account.Before = *repaired.Brought
	}
	return nil
}

// rebuild is repair for a span whose raw clicks the store does not keep any more.
func (r *reconciliation) rebuild(ctx workflow.Context) (click.Comparison, error) {
	r.show(ctx, "rebuilds the figures from the lake: the span is older than the raw clicks kept")
	rebuilt, err := execute(ctx, optionsFor(stepRebuildFigures, fmt.Sprintf("%d figures", r.account.Before.WrongFigures)), reconcile.RebuildFigures,
		activities.RebuildFiguresInput{Snapshot: r.account.Snapshot, Reason: r.reason()})
	if err != nil {
		return click.Comparison{}, err
	}
	r.account.Restated = rebuilt.Restated
	return r.look(ctx, 2, r.account.Run)
}

// reason is why the minutes are flushed.
func (r *reconciliation) reason() click.FlushReason {
	if r.in.Unlimited {
		return click.BackfillFlush
	}
	return click.RepairFlush
}

// verify looks until nothing differs. Clicks that differ now are not mended by
// trying again; a figure may only be behind once more. What is looked at in
// between is not recorded.
func (r *reconciliation) verify(ctx workflow.Context) (click.Comparison, error) {
	const pass = 2
	for round := 1; ; round++ {
		if round == verifyRoundsMax {
			return r.look(ctx, pass, r.account.Run)
		}
		after, err := r.look(ctx, pass, "")
		if err != nil || after.Agrees() {
			return after, err
		}
		if after.ToRepair() > 0 {
			return r.compare(ctx, pass, r.account.Run) // recorded
		}
		if err := r.flush(ctx, minutesOf(after)); err != nil {
			return after, err
		}
	}
}

// flush flushes minutes of the span; none named: all.
func (r *reconciliation) flush(ctx workflow.Context, minutes []click.Window) error {
	summary := fmt.Sprintf("%d minutes", len(minutes))
	if len(minutes) == 0 {
		summary = "all minutes"
	}
	r.show(ctx, "flushes "+summary)
	flushed, err := execute(ctx, optionsFor(stepFlushSpan, summary), reconcile.FlushSpan,
		activities.FlushSpanInput{From: r.account.From, To: r.account.To, Minutes: minutes, Reason: r.reason()})
	r.account.Restated += flushed.Restated
	return err
}

func minutesOf(c click.Comparison) []click.Window {
	minutes := make([]click.Window, len(c.Minutes))
	for i, m := range c.Minutes {
		minutes[i] = m.Minute
	}
	return minutes
}

// end records the account and returns it.
func (r *reconciliation) end(ctx workflow.Context, state click.ReconciliationState, reason string) (ReconcileHourResult, error) {
	result := ReconcileHourResult{
		State: state, Reason: reason, Before: r.account.Before, After: r.account.After,
		Inserted: r.account.Inserted, Deleted: r.account.Deleted, Restated: r.account.Restated,
	}
	r.show(ctx, "records what came of it")
	if err := r.record(ctx, state, reason); err != nil {
		return result, err
	}
	if err := setState(ctx, string(state)); err != nil {
		return result, err
	}
	r.show(ctx, "")
	return result, nil
}

// fail is end for what somebody has to see: the workflow fails with the reason.
func (r *reconciliation) fail(ctx workflow.Context, state click.ReconciliationState, kind, reason string) (ReconcileHourResult, error) {
	result, err := r.end(ctx, state, reason)
	if err != nil {
		return result, err
	}
	return result, temporal.NewNonRetryableApplicationError(r.name()+": "+reason, kind, nil, result)
}

// refuse is the end when a step could not be done: the lake is not complete, or
// a server was away for too long. Once something was judged it is recorded too
// that the rest is open.
func (r *reconciliation) refuse(ctx workflow.Context, fault error) (ReconcileHourResult, error) {
	var said *temporal.ApplicationError
	if errors.As(fault, &said) && said.Type() == activities.ErrorLakeIncomplete {
		return r.fail(ctx, click.ReconciledRefused, activities.ErrorLakeIncomplete, said.Message())
	}
	if temporal.IsCanceledError(fault) || r.account.Before.Agrees() {
		return ReconcileHourResult{}, fault
	}
	_, err := r.end(ctx, click.ReconciledDiffers, "the repair was not finished: "+sentence(fault))
	return ReconcileHourResult{}, errors.Join(fault, err)
}

func (r *reconciliation) record(ctx workflow.Context, state click.ReconciliationState, reason string) error {
	r.account.State, r.account.Reason = state, reason
	_, err := execute(ctx, optionsFor(stepRecord, string(state)), reconciliations.RecordReconciliation,
		activities.RecordReconciliationInput{Reconciliation: r.account})
	return err
}

// name is the span in words.
func (r *reconciliation) name() string { return spanText(r.account.From, r.account.To) }

// spanText is "hour 2026-11-23T10", or the minutes when it is no whole hour.
func spanText(from, to click.Window) string {
	if from == click.HourOf(from.Start()) && to == click.HourEnd(from) {
		return "hour " + click.HourText(from)
	}
	return fmt.Sprintf("%s to %s", from, to)
}

// reconcileOptions is how a reconciliation is started as a child. It outlives
// its parent: cut off between repair and flush it would leave figures wrong.
func reconcileOptions(from click.Window, summary string) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               ReconcileHourID(from),
		TaskQueue:                OperationsQueue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionTimeout: reconcileTimeout,
		// A cancelled one may still have to carry its repair through.
		WaitForCancellation:   true,
		StaticSummary:         summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(windowAttributes(JobReconcile, from)...),
	}
}
