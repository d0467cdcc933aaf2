package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/internal/click"
)

const (
	repairPause   = 2 * time.Second
	repairWaitMax = 10 * time.Minute // for a flush of the window that runs already
)

// RepairWindow flushes a window after its clicks were changed, on the
// operations queue. A flush that runs already has read before the change, so it
// is waited for and another started; a FlushWindow started by hand would be
// refused then.
func RepairWindow(ctx workflow.Context, in FlushWindowInput) (FlushWindowResult, error) {
	due, err := in.due()
	if err != nil {
		return FlushWindowResult{}, err
	}
	if err := describe(ctx, JobRepair, due.Window); err != nil {
		return FlushWindowResult{}, err
	}
	return flushAgain(ctx, due)
}

// flushAgain starts a flush and waits for its end; one that runs already is
// waited for first.
func flushAgain(ctx workflow.Context, due click.Due) (FlushWindowResult, error) {
	deadline := workflow.Now(ctx).Add(repairWaitMax)
	in := FlushWindowInput{Window: due.Window, Reason: due.Reason, Late: due.Late}
	for {
		var result FlushWindowResult
		err := child(ctx, flushOptions(due, OperationsQueue), FlushWindow, in).Get(ctx, &result)
		if !temporal.IsWorkflowExecutionAlreadyStartedError(err) || workflow.Now(ctx).After(deadline) {
			return result, plain(err)
		}
		workflow.SetCurrentDetails(ctx, "waits for the flush that runs already")
		if err := workflow.Sleep(ctx, repairPause); err != nil {
			return FlushWindowResult{}, err
		}
	}
}
