package workflows

import (
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// ReconcileScheduleID names the schedule that starts ReconcileTick.
const ReconcileScheduleID = "reconcile-tick"

const (
	// reconcilesPlannedMax is more than the hours that can be open at a time in a
	// week: those that wait for approval are planned too.
	reconcilesPlannedMax = 200
	// When in an hour a tick comes: the hour before is archived, and away from
	// other ticks.
	reconcileMinute = 20
	reconcileSecond = 50
	// reconcileHourWait is how long a tick waits for one hour before it begins the
	// next: they run one at a time, except those that take long or wait for
	// approval.
	reconcileHourWait = 10 * time.Minute
	// reconcileCatchUpMax ends a tick that still catches up, in time for its last
	// hour before reconcileTickTimeout, which is less than the hour until the next.
	reconcileCatchUpMax  = 40 * time.Minute
	reconcileTickTimeout = 55 * time.Minute
)

// ReconcileTickInput is empty: a tick asks the store and the lake what is due.
type ReconcileTickInput struct{}

// ReconcileTickResult is what a tick did.
type ReconcileTickResult struct {
	Clean    int `json:"clean"` // hours
	Repaired int `json:"repaired"`
	Differ   int `json:"differ"`
	// Going were begun, by this tick or before, and are not over: they may wait
	// for approval.
	Going  int      `json:"going"`
	Failed []string `json:"failed,omitempty"` // why, an hour each
	// Waiting says why the next hour is not due; empty when nothing waits.
	Waiting string `json:"waiting,omitempty"`
}

// ReconcileTick reconciles the hours that are due, one after the other. It is
// level triggered: a tick that was missed is made up for by the next. An hour
// that cannot be judged holds up no other.
func ReconcileTick(ctx workflow.Context, _ ReconcileTickInput) (ReconcileTickResult, error) {
	began := workflow.Now(ctx)
	t := reconcileTick{begun: map[click.Window]bool{}}
	for {
		plan, err := execute(ctx, optionsFor(stepPlanReconciliations, ""), reconciliations.PlanReconciliations,
			activities.PlanReconciliationsInput{Limit: reconcilesPlannedMax})
		if err != nil {
			return t.result, err
		}
		t.result.Waiting = plan.Waiting
		fresh := false
		for _, hour := range plan.Due {
			if t.begun[hour] {
				continue
			}
			if workflow.Now(ctx).Sub(began) > reconcileCatchUpMax {
				return t.result, nil // the next tick goes on from here
			}
			fresh, t.begun[hour] = true, true
			workflow.SetCurrentDetails(ctx, t.details("reconciles hour "+click.HourText(hour)))
			if err := t.reconcile(ctx, hour); err != nil {
				return t.result, err
			}
		}
		workflow.SetCurrentDetails(ctx, t.details(""))
		if !plan.More || !fresh {
			return t.result, nil
		}
	}
}

// reconcileTick remembers what it began: an hour that waits, or failed, is
// planned again.
type reconcileTick struct {
	begun  map[click.Window]bool
	result ReconcileTickResult
}

// reconcile begins one hour and waits for it, but not for ever. How the hour
// ends is no error of the tick.
func (t *reconcileTick) reconcile(ctx workflow.Context, hour click.Window) error {
	run := child(ctx, reconcileOptions(hour, spanText(hour, click.HourEnd(hour))+", lake and store"), ReconcileHour, ReconcileHourInput{Hour: hour})
	err := run.GetChildWorkflowExecution().Get(ctx, nil)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		t.result.Going++
		return nil
	}
	if err != nil {
		return fmt.Errorf("start reconciliation: %w", err)
	}
	over, err := workflow.AwaitWithTimeout(ctx, reconcileHourWait, run.IsReady)
	if err != nil {
		return err
	}
	if !over {
		t.result.Going++
		return nil
	}
	var result ReconcileHourResult
	if err := run.Get(ctx, &result); err != nil {
		t.result.Failed = append(t.result.Failed, sentence(err))
		return nil
	}
	switch result.State {
	case click.ReconciledClean:
		t.result.Clean++
	case click.ReconciledRepaired:
		t.result.Repaired++
	default:
		t.result.Differ++
	}
	return nil
}

// details is what the UI shows of a tick, in Markdown.
func (t *reconcileTick) details(now string) string {
	lines := []string{fmt.Sprintf("%d hours clean, %d repaired, %d differ, %d are not over", t.result.Clean, t.result.Repaired, t.result.Differ, t.result.Going)}
	for _, failure := range t.result.Failed[:min(len(t.result.Failed), namesMax)] {
		lines = append(lines, "- **"+failure+"**")
	}
	if more := len(t.result.Failed) - namesMax; more > 0 {
		lines = append(lines, fmt.Sprintf("- and %d more", more))
	}
	if t.result.Waiting != "" {
		lines = append(lines, "", t.result.Waiting)
	}
	if now != "" {
		lines = append(lines, "", now)
	}
	return strings.Join(lines, "\n")
}

// reconcileSchedule starts ReconcileTick every hour.
func reconcileSchedule() client.ScheduleOptions {
	return client.ScheduleOptions{
		ID: ReconcileScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: reconcileSecond}},
			Minute:  []client.ScheduleRange{{Start: reconcileMinute}},
			Hour:    []client.ScheduleRange{{Start: 0, End: 23}},
			Comment: "every hour, when the hour before is archived",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       ReconcileScheduleID,
			Workflow:                 ReconcileTick,
			Args:                     []any{ReconcileTickInput{}},
			TaskQueue:                OperationsQueue,
			WorkflowExecutionTimeout: reconcileTickTimeout,
			TypedSearchAttributes:    jobAttributes(JobTick),
			StaticSummary:            "reconciles the hours that are due",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
