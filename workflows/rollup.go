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

// RollupScheduleID names the schedule that starts RollupTick.
const RollupScheduleID = "rollup-tick"

// JobRollup is the job of RollupDay.
const JobRollup Job = "rollup"

const (
	// When in a day a tick comes: the day before is sealed then, unless Kafka or
	// the ingester is behind; the next tick makes up for that.
	rollupHour, rollupMinute, rollupSecond = 0, 20, 5

	rollupsPlannedMax = 40 // days in one plan; a tick makes as many plans as it has time for
	// rollupCatchUpMax ends a tick that still catches up. rollupTickTimeout is
	// more by as long as a day may take.
	rollupCatchUpMax  = 4 * time.Hour
	rollupTimeout     = 2 * time.Hour
	rollupTickTimeout = rollupCatchUpMax + rollupTimeout + 10*time.Minute
)

var rollup *activities.Rollup // a typed nil: it only names the activities

// RollupDayID is the id of the rollup of a day, whoever starts it: no two
// rollups of one day run at the same time.
func RollupDayID(d click.Day) string { return "rollup/" + d.String() }

// RollupTickInput is empty: a tick asks the store what is due.
type RollupTickInput struct{}

// RollupTickResult is what a tick did.
type RollupTickResult struct {
	RolledUp int `json:"rolled_up"` // days
	Failed   int `json:"failed"`    // the next tick tries them again
	Running  int `json:"running"`   // had a run already, which somebody else started
}

// RollupTick rolls up the days that are due, one after the other, the earliest
// first. It is level triggered: a tick that was missed is made up for by the
// next. A day that fails does not keep others from being rolled up; the tick
// fails at its end then, so that it is seen.
func RollupTick(ctx workflow.Context, _ RollupTickInput) (RollupTickResult, error) {
	t := rollupTick{began: workflow.Now(ctx), tried: map[click.Day]bool{}}
	for {
		// What failed is due still, and must not hide what comes after it.
		limit := rollupsPlannedMax + t.result.Failed + t.result.Running
		plan, err := execute(ctx, optionsFor(stepPlanRollups, ""), rollup.PlanRollups, activities.PlanRollupsInput{Limit: limit})
		if err != nil {
			return t.result, err
		}
		rolled, err := t.rollUp(ctx, plan.Due)
		if err != nil {
			return t.result, err
		}
		if !plan.More || rolled == 0 || t.late(ctx) {
			break
		}
	}
	if t.result.Failed > 0 {
		return t.result, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("%d days were rolled up, %d failed; the first: %s", t.result.RolledUp, t.result.Failed, t.failure), activities.ErrorRollup, nil)
	}
	return t.result, nil
}

// rollupTick remembers what it tried: a day that failed is the next tick's.
type rollupTick struct {
	began   time.Time
	tried   map[click.Day]bool
	result  RollupTickResult
	failure string
}

func (t *rollupTick) late(ctx workflow.Context) bool {
	return workflow.Now(ctx).Sub(t.began) > rollupCatchUpMax
}

// rollUp rolls up the days that were not tried yet, and returns how many that
// were.
func (t *rollupTick) rollUp(ctx workflow.Context, days []click.Day) (rolled int, err error) {
	for i, day := range days {
		if t.tried[day] {
			continue
		}
		if t.late(ctx) {
			return rolled, nil
		}
		t.tried[day] = true
		rolled++
		workflow.SetCurrentDetails(ctx, t.details(fmt.Sprintf("%s, %d more planned", day, len(days)-i-1)))
		// Abandoned: a tick that is ended does not end it. Its start was waited
		// for when its result comes.
		err := child(ctx, rollupOptions(day), RollupDay, RollupDayInput{Day: day}).Get(ctx, nil)
		switch {
		case err == nil:
			t.result.RolledUp++
		case temporal.IsWorkflowExecutionAlreadyStartedError(err):
			t.result.Running++
		case ctx.Err() != nil:
			return rolled, err
		default:
			t.result.Failed++
			if t.failure == "" {
				t.failure = fmt.Sprintf("%s: %s", day, plain(err))
			}
		}
	}
	workflow.SetCurrentDetails(ctx, t.details(""))
	return rolled, nil
}

// details is what the UI shows of a tick, in Markdown.
func (t *rollupTick) details(now string) string {
	lines := []string{fmt.Sprintf("%d days rolled up, %d failed, %d ran already", t.result.RolledUp, t.result.Failed, t.result.Running)}
	if now != "" {
		lines = append(lines, "- now "+now)
	}
	if t.failure != "" {
		lines = append(lines, "- **failed** "+t.failure)
	}
	return strings.Join(lines, "\n")
}

// RollupDayInput is what an operator gives by hand, too: {"day":"2026-11-22"}.
type RollupDayInput struct {
	Day click.Day `json:"day"`
}

// RollupDayResult is what was written, level by level.
type RollupDayResult struct {
	Levels []RolledLevel `json:"levels"`
}

// RolledLevel is one step of a rollup.
type RolledLevel struct {
	Level click.Level `json:"level"`
	activities.RollUpResult
}

// RollupDay sums up the minutes of a day into hours, those into the day, and
// the days of its week and its month into those, if all of them are there.
// Every step is verified and safe to repeat; run again, it changes nothing
// unless minutes have changed.
func RollupDay(ctx workflow.Context, in RollupDayInput) (RollupDayResult, error) {
	var result RollupDayResult
	if in.Day == (click.Day{}) {
		return result, activities.BadInput(`no day given; the input is {"day":"2026-11-22"}`)
	}
	if err := describe(ctx, JobRollup, click.WindowOf(in.Day.Start())); err != nil {
		return result, err
	}
	for _, step := range click.Rollups() {
		workflow.SetCurrentDetails(ctx, rollupDetails(result, step.To))
		done, err := execute(ctx, optionsFor(stepRollUp, string(step.To)), rollup.RollUp, activities.RollUpInput{Day: in.Day, Level: step.To})
		if err != nil {
			return result, err
		}
		result.Levels = append(result.Levels, RolledLevel{step.To, done})
	}
	workflow.SetCurrentDetails(ctx, rollupDetails(result, ""))
	return result, nil
}

// rollupDetails is what the UI shows of a day, in Markdown.
func rollupDetails(result RollupDayResult, now click.Level) string {
	lines := []string{"| level | clicks | figures |", "|---|---|---|"}
	for _, l := range result.Levels {
		if l.Waits {
			lines = append(lines, fmt.Sprintf("| %s | waits for other days | |", l.Level))
		} else {
			lines = append(lines, fmt.Sprintf("| %s | %d | %d |", l.Level, l.Clicks, l.Rows))
		}
	}
	if now != "" {
		lines = append(lines, fmt.Sprintf("| %s | … | … |", now))
	}
	return strings.Join(lines, "\n")
}

// rollupOptions is how the rollup of a day is started as a child. A later one
// of the same day is a new run of the same id.
func rollupOptions(d click.Day) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               RollupDayID(d),
		TaskQueue:                OperationsQueue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionTimeout: rollupTimeout,
		StaticSummary:            "hours, day, week and month of " + d.String(),
		TypedSearchAttributes:    temporal.NewSearchAttributes(windowAttributes(JobRollup, click.WindowOf(d.Start()))...),
	}
}

// backfillRollupID is the id of the RollupTick at the end of a backfill.
func backfillRollupID(run string) string { return "rollup-after-backfill/" + run }

// backfillRollupOptions is how a RollupTick is started at the end of a backfill.
// It goes on when the backfill is ended.
func backfillRollupOptions(id string) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               id,
		TaskQueue:                OperationsQueue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionTimeout: rollupTickTimeout,
		StaticSummary:            "rolls up the days that are due, after a backfill",
		TypedSearchAttributes:    jobAttributes(JobRollup),
	}
}

// rollupSchedule starts RollupTick every night.
func rollupSchedule() client.ScheduleOptions {
	return client.ScheduleOptions{
		ID: RollupScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: rollupSecond}},
			Minute:  []client.ScheduleRange{{Start: rollupMinute}},
			Hour:    []client.ScheduleRange{{Start: rollupHour}},
			Comment: "every night, when the day before is sealed",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       RollupScheduleID,
			Workflow:                 RollupTick,
			Args:                     []any{RollupTickInput{}},
			TaskQueue:                OperationsQueue,
			WorkflowExecutionTimeout: rollupTickTimeout,
			TypedSearchAttributes:    jobAttributes(JobRollup),
			StaticSummary:            "rolls up the days that are due",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
