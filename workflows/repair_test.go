package workflows

import (
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"clickledger/internal/click"
)

func TestARepairWaitsForARunningFlushAndThenFlushesItself(t *testing.T) {
	env, w := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	started := flushes(env, time.Minute)
	parent := func(ctx workflow.Context) (time.Duration, error) {
		due := click.Due{Window: w, Reason: click.FirstFlush}
		running := child(ctx, flushOptions(due, FlushQueue), FlushWindow, FlushWindowInput{Window: w})
		if err := running.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
			return 0, err
		}
		began := workflow.Now(ctx)
		_, err := RepairWindow(ctx, FlushWindowInput{Window: w})
		return workflow.Now(ctx).Sub(began), err
	}
	env.RegisterWorkflow(parent)
	env.ExecuteWorkflow(parent)
	var took time.Duration
	if err := env.GetWorkflowResult(&took); err != nil {
		t.Fatal(err)
	}
	if len(*started) != 2 || took < 2*time.Minute || took > 2*time.Minute+2*repairPause {
		t.Errorf("flushes began for %v, the repair took %v", *started, took)
	}
}
