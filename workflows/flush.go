package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

const (
	// verificationsMax is how often a flush is begun anew when what it wrote is
	// not what is stored, before it fails loudly.
	verificationsMax = 5
	// flushTimeout ends a flush that gets nowhere; the next tick plans it again.
	flushTimeout = 2 * time.Hour
)

var flush *activities.Flush // a typed nil: it only names the activities

// FlushWindowInput is what an operator gives by hand, too:
// {"window":"2026-11-23T10:05Z","reason":"repair"}.
type FlushWindowInput struct {
	Window click.Window      `json:"window"`
	Reason click.FlushReason `json:"reason"` // repair when empty
	Late   uint64            `json:"late,omitempty"`
}

// FlushWindowResult is what became final.
type FlushWindowResult struct {
	Clicks   uint64 `json:"clicks"`   // distinct impressions
	Rows     uint64 `json:"rows"`     // figures, totals included
	Restated uint64 `json:"restated"` // figures that had been final and changed
}

// FlushWindow makes one window final: fix a snapshot, aggregate it, verify what
// was written, seal. It waits until the window is sealable. Run again, it
// changes nothing unless clicks came or went.
func FlushWindow(ctx workflow.Context, in FlushWindowInput) (FlushWindowResult, error) {
	due, err := in.due()
	if err != nil {
		return FlushWindowResult{}, err
	}
	if err := describe(ctx, JobFlush, due.Window); err != nil {
		return FlushWindowResult{}, err
	}
	for attempt := 1; ; attempt++ {
		written, err := writeFigures(ctx, due)
		if err != nil {
			return FlushWindowResult{}, err
		}
		if written.tally.Agrees() {
			return sealFigures(ctx, due, written)
		}
		sentence := fmt.Sprintf("window %s: ads sum to %d, totals to %d, but %d impressions are stored",
			due.Window, written.tally.Ads, written.tally.Totals, written.tally.Distinct)
		if attempt == verificationsMax {
			return FlushWindowResult{}, temporal.NewNonRetryableApplicationError(sentence, activities.ErrorVerification, nil)
		}
		workflow.GetLogger(ctx).Warn("verify again", "window", due.Window.String(), "error", sentence)
		if err := workflow.Sleep(ctx, time.Second<<attempt); err != nil {
			return FlushWindowResult{}, err
		}
	}
}

// due is the input, judged.
func (in FlushWindowInput) due() (click.Due, error) {
	due := click.Due{Window: in.Window, Reason: in.Reason, Late: in.Late}
	if in.Window == (click.Window{}) {
		return due, activities.BadInput(`no window given; the input is {"window":"2026-11-23T10:05Z","reason":"repair"}`)
	}
	switch in.Reason {
	case "":
		due.Reason = click.RepairFlush
	case click.FirstFlush, click.LateFlush, click.RepairFlush:
	default:
		return due, activities.BadInput(fmt.Sprintf("reason %q is none of first, late, repair", in.Reason))
	}
	return due, nil
}

// describe sets what a workflow started by hand came without.
func describe(ctx workflow.Context, job Job, w click.Window) error {
	attributes := workflow.GetTypedSearchAttributes(ctx)
	if attributes.ContainsKey(temporal.NewSearchAttributeKeyTime(WindowAttribute)) {
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx, windowAttributes(job, w)...)
}

// written is what one attempt at a flush has put into the store.
type written struct {
	snapshot click.Snapshot
	restated uint64
	tally    click.Tally
}

func writeFigures(ctx workflow.Context, due click.Due) (written, error) {
	workflow.SetCurrentDetails(ctx, "waits until every click of the window is stored")
	fixed, err := execute(ctx, optionsFor(stepSnapshot, ""), flush.FixSnapshot, activities.SnapshotInput{Window: due.Window})
	if err != nil {
		return written{}, err
	}
	workflow.SetCurrentDetails(ctx, "aggregates")
	aggregated, err := execute(ctx, optionsFor(stepAggregate, due.Summary()), flush.AggregateWindow,
		activities.AggregateInput{SnapshotResult: fixed, Reason: due.Reason})
	if err != nil {
		return written{}, err
	}
	verified, err := execute(ctx, optionsFor(stepVerify, fmt.Sprintf("%d restated", aggregated.Restated)), flush.VerifyWindow,
		activities.VerifyInput{Snapshot: fixed.Snapshot})
	return written{fixed.Snapshot, aggregated.Restated, verified.Tally}, err
}

func sealFigures(ctx workflow.Context, due click.Due, w written) (FlushWindowResult, error) {
	result := FlushWindowResult{Clicks: w.tally.Distinct, Rows: w.tally.Rows, Restated: w.restated}
	seal := click.Seal{Snapshot: w.snapshot, Clicks: result.Clicks, Rows: result.Rows, Reason: due.Summary()}
	summary := fmt.Sprintf("%d clicks", result.Clicks)
	if _, err := execute(ctx, optionsFor(stepSeal, summary), flush.SealWindow, activities.SealInput{Seal: seal}); err != nil {
		return FlushWindowResult{}, err
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**final**: %d clicks in %d figures, %d restated", result.Clicks, result.Rows, result.Restated))
	return result, nil
}

// flushOptions is how a flush is started as a child. It outlives its parent; a
// later flush of the same window is a new run of the same id.
func flushOptions(due click.Due, queue string) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               FlushWindowID(due.Window),
		TaskQueue:                queue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionTimeout: flushTimeout,
		StaticSummary:            due.Summary(),
		TypedSearchAttributes:    temporal.NewSearchAttributes(windowAttributes(JobFlush, due.Window)...),
	}
}
