package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

const (
	// flushesMax is how many flushes one tick has running at a time.
	flushesMax = 60
	// ingesterWaitMax is how long a tick stays for a window that only waits for
	// the ingester's commits, so that its figures need not wait for the next tick.
	ingesterWaitMax   = 40 * time.Second
	ingesterWaitPause = 2 * time.Second
	// catchUpMax ends a tick that still catches up, below tickTimeout.
	catchUpMax = 4 * time.Minute
	batchMax   = time.Minute // the longest wait for one batch of flushes
	namesMax   = 10          // windows named in the details
)

// FlushTickInput is empty: a tick asks the store what is due.
type FlushTickInput struct{}

// FlushTickResult is what a tick did.
type FlushTickResult struct {
	Started int `json:"started"` // flushes
	Waiting int `json:"waiting"` // closed windows that wait for the ingester
	TooOld  int `json:"too_old"` // unsealed windows that only the lake can rebuild
}

// FlushTick plans what is due and starts a flush for each. It is level
// triggered: a tick that was missed is made up for by the next. It returns when
// every flush it started runs; only to catch up after an outage it waits for
// them, and goes on with the next.
func FlushTick(ctx workflow.Context, _ FlushTickInput) (FlushTickResult, error) {
	began := workflow.Now(ctx)
	t := tick{started: map[click.Window]bool{}}
	for {
		plan, err := execute(ctx, optionsFor(stepPlan, ""), flush.PlanFlushes, activities.PlanInput{Limit: flushesMax})
		if err != nil {
			return t.result, err
		}
		running, err := t.start(ctx, plan)
		if err != nil {
			return t.result, err
		}
		elapsed := workflow.Now(ctx).Sub(began)
		switch {
		case plan.More && len(running) > 0 && elapsed < catchUpMax:
			err = t.finish(ctx, running)
		case !plan.More && plan.Waiting > 0 && elapsed < ingesterWaitMax:
			err = workflow.Sleep(ctx, ingesterWaitPause)
		default:
			return t.result, nil
		}
		if err != nil {
			return t.result, err
		}
	}
}

// tick remembers what it started: a flush that failed is the next tick's, and
// one that is not done yet would be planned twice.
type tick struct {
	started map[click.Window]bool
	result  FlushTickResult
}

// start starts what the plan has and this tick has not started yet, and waits
// until each runs: an abandoned child whose start was not waited for is lost
// when its parent ends. A window whose flush runs already needs no other.
func (t *tick) start(ctx workflow.Context, plan activities.PlanResult) ([]workflow.ChildWorkflowFuture, error) {
	t.result.Waiting, t.result.TooOld = plan.Waiting, plan.TooOld
	var running []workflow.ChildWorkflowFuture
	var planned []string
	for _, due := range plan.Due {
		if t.started[due.Window] {
			continue
		}
		t.started[due.Window] = true
		planned = append(planned, due.Window.String()+" "+due.Summary())
		in := FlushWindowInput{Window: due.Window, Reason: due.Reason, Late: due.Late}
		running = append(running, child(ctx, flushOptions(due, FlushQueue), FlushWindow, in))
	}
	workflow.SetCurrentDetails(ctx, planDetails(plan, planned))
	for _, flush := range running {
		err := flush.GetChildWorkflowExecution().Get(ctx, nil)
		if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("start flush: %w", err)
		}
		t.result.Started++
	}
	return running, nil
}

// finish waits until the flushes are over, well or not, but not for ever: one
// that hangs must not stop the others from catching up.
func (t *tick) finish(ctx workflow.Context, running []workflow.ChildWorkflowFuture) error {
	_, err := workflow.AwaitWithTimeout(ctx, batchMax, func() bool {
		for _, flush := range running {
			if !flush.IsReady() {
				return false
			}
		}
		return true
	})
	return err
}

// planDetails is what the UI shows of a tick, in Markdown.
func planDetails(plan activities.PlanResult, planned []string) string {
	lines := []string{fmt.Sprintf("planned %d, %d wait for the ingester", len(planned), plan.Waiting)}
	if plan.TooOld > 0 {
		lines = append(lines, fmt.Sprintf("- **%d are too old** and wait for a rebuild from the lake", plan.TooOld))
	}
	for _, name := range planned[:min(len(planned), namesMax)] {
		lines = append(lines, "- "+name)
	}
	if more := len(planned) - namesMax; more > 0 {
		lines = append(lines, fmt.Sprintf("- and %d more", more))
	}
	return strings.Join(lines, "\n")
}
