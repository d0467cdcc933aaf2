package workflows

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// hours are count hours from the first on.
func hours(first click.Window, count int) []click.Window {
	var all []click.Window
	for ; count > 0; count-- {
		all = append(all, first)
		first = click.HourEnd(first)
	}
	return all
}

// plansHours makes each plan the next of the given; the last one stays.
func plansHours(env *testsuite.TestWorkflowEnvironment, plans ...activities.PlanReconciliationsResult) (asked *int) {
	asked = new(int)
	env.OnActivity(reconciliations.PlanReconciliations, mock.Anything, activities.PlanReconciliationsInput{Limit: reconcilesPlannedMax}).Return(
		func(context.Context, activities.PlanReconciliationsInput) (activities.PlanReconciliationsResult, error) {
			*asked++
			return plans[min(*asked, len(plans))-1], nil
		})
	return asked
}

// timedTick is what a tick returned and how long it ran; abandoned children go
// on after it.
type timedTick struct {
	Result ReconcileTickResult
	Took   time.Duration
}

func runReconcileTick(t *testing.T, env *testsuite.TestWorkflowEnvironment, before func(workflow.Context) error) timedTick {
	t.Helper()
	parent := func(ctx workflow.Context) (timedTick, error) {
		if err := before(ctx); err != nil {
			return timedTick{}, err
		}
		began := workflow.Now(ctx)
		result, err := ReconcileTick(ctx, ReconcileTickInput{})
		return timedTick{result, workflow.Now(ctx).Sub(began)}, err
	}
	env.RegisterWorkflow(parent)
	env.ExecuteWorkflow(parent)
	var timed timedTick
	if err := env.GetWorkflowResult(&timed); err != nil {
		t.Fatal(err)
	}
	return timed
}

func nothingBefore(workflow.Context) error { return nil }

func TestAReconcileTickDoesTheHoursThatAreDueInTurn(t *testing.T) {
	env, first := reconcileEnvironment(t), window(t, "2026-11-23T08:00Z")
	plansHours(env, activities.PlanReconciliationsResult{Due: hours(first, 3), Waiting: "11:00 is not archived"})
	d := &ledgerDouble{before: differing(t, first)}
	d.on(env, time.Minute)
	timed := runReconcileTick(t, env, nothingBefore)
	if want := (ReconcileTickResult{Repaired: 3, Waiting: "11:00 is not archived"}); !reflect.DeepEqual(timed.Result, want) {
		t.Errorf("result %+v", timed.Result)
	}
	var begun []click.Window
	for _, in := range d.fixed {
		begun = append(begun, in.From)
	}
	all := hours(first, 3)
	if want := []click.Window{all[0], all[0], all[1], all[1], all[2], all[2]}; !reflect.DeepEqual(begun, want) || timed.Took < 3*time.Minute {
		t.Errorf("begun %v in %v", begun, timed.Took)
	}
}

func TestAnHourThatIsRefusedHoldsUpNoOther(t *testing.T) {
	env, due := reconcileEnvironment(t), hours(window(t, "2026-11-23T08:00Z"), 2)
	plansHours(env, activities.PlanReconciliationsResult{Due: due})
	env.OnActivity(reconcile.FixLake, mock.Anything, activities.FixLakeInput{From: due[0], To: due[1]}).Return(activities.FixLakeResult{},
		temporal.NewNonRetryableApplicationError("an object is gone", activities.ErrorLakeIncomplete, nil))
	d := &ledgerDouble{before: click.Comparison{Lake: 1, Store: 1, Figures: 1}}
	d.on(env, 0)
	timed := runReconcileTick(t, env, nothingBefore)
	if want := (ReconcileTickResult{Clean: 1, Failed: []string{"hour 2026-11-23T08: an object is gone"}}); !reflect.DeepEqual(timed.Result, want) {
		t.Errorf("result %+v", timed.Result)
	}
}

func TestAnHourThatWaitsForApprovalDoesNotHoldTheTick(t *testing.T) {
	env, due := reconcileEnvironment(t), hours(window(t, "2026-11-23T08:00Z"), 2)
	plansHours(env, activities.PlanReconciliationsResult{Due: due})
	d := &ledgerDouble{before: click.Comparison{Lake: 20_000, Missing: 20_000, Places: 1}}
	d.on(env, 0)
	timed := runReconcileTick(t, env, nothingBefore)
	if timed.Result.Going != 2 || timed.Took > reconcileTickTimeout {
		t.Errorf("result %+v in %v", timed.Result, timed.Took)
	}
}

func TestAnHourThatIsReconciledAlreadyNeedsNoOther(t *testing.T) {
	env, due := reconcileEnvironment(t), hours(window(t, "2026-11-23T08:00Z"), 2)
	asked := plansHours(env, activities.PlanReconciliationsResult{Due: due, More: true})
	d := &ledgerDouble{before: differing(t, due[0])}
	d.on(env, 30*time.Minute)
	timed := runReconcileTick(t, env, func(ctx workflow.Context) error {
		run := child(ctx, reconcileOptions(due[0], "by hand"), ReconcileHour, ReconcileHourInput{Hour: due[0]})
		return run.GetChildWorkflowExecution().Get(ctx, nil)
	})
	if timed.Result.Going != 2 || timed.Took > 2*reconcileHourWait || *asked != 2 {
		t.Errorf("result %+v in %v after %d plans", timed.Result, timed.Took, *asked)
	}
}

func TestAReconcileTickThatCatchesUpEndsInTime(t *testing.T) {
	env, due := reconcileEnvironment(t), hours(window(t, "2026-11-20T00:00Z"), 80)
	plansHours(env, activities.PlanReconciliationsResult{Due: due})
	d := &ledgerDouble{before: differing(t, due[0])}
	d.on(env, 90*time.Second)
	timed := runReconcileTick(t, env, nothingBefore)
	if timed.Result.Repaired < 20 || timed.Took > reconcileTickTimeout {
		t.Errorf("result %+v in %v", timed.Result, timed.Took)
	}
}

func TestAReconciliationOutlivesItsTickUnderACleanID(t *testing.T) {
	options := reconcileOptions(window(t, "2026-11-23T10:05Z"), "compares lake and store")
	if options.WorkflowID != "reconcile/2026-11-23T10" || options.ParentClosePolicy != enumspb.PARENT_CLOSE_POLICY_ABANDON ||
		options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE {
		t.Errorf("options are %+v", options)
	}
}

func TestTickDetailsNameWhatFailed(t *testing.T) {
	tick := reconcileTick{result: ReconcileTickResult{Clean: 2, Failed: []string{"hour 2026-11-23T08: an object is gone"}, Waiting: "not archived"}}
	details := tick.details("reconciles hour 2026-11-23T09")
	if !strings.HasPrefix(details, "2 hours clean,") || !strings.Contains(details, "- **hour 2026-11-23T08: an object is gone**") || !strings.HasSuffix(details, "reconciles hour 2026-11-23T09") {
		t.Error(details)
	}
}
