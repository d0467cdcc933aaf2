package workflows

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
)

func rollupDay(t *testing.T, text string) click.Day {
	t.Helper()
	d, err := click.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rollups is an environment that writes down what is rolled up; days that are
// to fail fail for good.
func rollups(t *testing.T, failing ...string) (*testsuite.TestWorkflowEnvironment, *[]string) {
	t.Helper()
	env, did := newEnvironment(t), new([]string)
	env.RegisterActivity(&activities.Rollup{})
	env.OnActivity(rollup.RollUp, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.RollUpInput) (activities.RollUpResult, error) {
			if slices.Contains(failing, in.Day.String()) {
				return activities.RollUpResult{}, activities.BadInput("a reason")
			}
			*did = append(*did, fmt.Sprintf("%s %s", in.Day, in.Level))
			return activities.RollUpResult{Clicks: 5, Rows: 2, Waits: in.Level == click.PerMonth}, nil
		})
	return env, did
}

func TestADayIsRolledUpLevelByLevel(t *testing.T) {
	env, did := rollups(t)
	env.ExecuteWorkflow(RollupDay, RollupDayInput{Day: rollupDay(t, "2026-11-22")})
	var result RollupDayResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	want := []string{"2026-11-22 hour", "2026-11-22 day", "2026-11-22 week", "2026-11-22 month"}
	if !slices.Equal(*did, want) || len(result.Levels) != 4 || result.Levels[1].Clicks != 5 || !result.Levels[3].Waits {
		t.Errorf("did %v, result %+v", *did, result)
	}
	details := rollupDetails(result, "")
	if !strings.Contains(details, "| day | 5 | 2 |") || !strings.Contains(details, "| month | waits for other days | |") {
		t.Error(details)
	}
}

func TestARollupNeedsADay(t *testing.T) {
	env, did := rollups(t)
	env.ExecuteWorkflow(RollupDay, RollupDayInput{})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorBadInput || len(*did) > 0 {
		t.Errorf("got %v, did %v", err, *did)
	}
}

// planned answers each plan with the next of these; the last one stays.
func planned(t *testing.T, env *testsuite.TestWorkflowEnvironment, plans ...[]string) (limits *[]int) {
	limits = new([]int)
	env.OnActivity(rollup.PlanRollups, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.PlanRollupsInput) (activities.PlanRollupsResult, error) {
			*limits = append(*limits, in.Limit)
			var out activities.PlanRollupsResult
			n := min(len(*limits), len(plans)) - 1
			for _, d := range plans[n] {
				out.Due = append(out.Due, rollupDay(t, d))
			}
			out.More = n < len(plans)-1
			return out, nil
		})
	return limits
}

func TestATickRollsUpWhatIsDueUntilNothingIs(t *testing.T) {
	env, did := rollups(t)
	planned(t, env, []string{"2026-11-20", "2026-11-21"}, []string{"2026-11-22"})
	env.ExecuteWorkflow(RollupTick, RollupTickInput{})
	var result RollupTickResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if want := (RollupTickResult{RolledUp: 3}); result != want || len(*did) != 12 || (*did)[11] != "2026-11-22 month" {
		t.Errorf("result %+v, did %v", result, *did)
	}
}

func TestADayThatFailsDoesNotHoldUpOthersAndIsTold(t *testing.T) {
	env, did := rollups(t, "2026-11-20")
	limits := planned(t, env, []string{"2026-11-20", "2026-11-21"}, []string{"2026-11-20", "2026-11-22"})
	env.ExecuteWorkflow(RollupTick, RollupTickInput{})
	err := env.GetWorkflowError()
	if errorType(err) != activities.ErrorRollup || !strings.Contains(err.Error(), "2 days were rolled up, 1 failed; the first: 2026-11-20: a reason") {
		t.Errorf("got %v", err)
	}
	if len(*did) != 8 || !slices.Equal(*limits, []int{rollupsPlannedMax, rollupsPlannedMax + 1}) {
		t.Errorf("did %v with limits %v", *did, *limits)
	}
}

func TestATickIsBounded(t *testing.T) {
	env, _ := rollups(t)
	env.OnActivity(rollup.PlanRollups, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.PlanRollupsInput) (activities.PlanRollupsResult, error) {
			return activities.PlanRollupsResult{}, temporal.NewApplicationError("no ledger", activities.ErrorNoLedger)
		})
	env.ExecuteWorkflow(RollupTick, RollupTickInput{})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorNoLedger {
		t.Errorf("got %v", err)
	}
	schedule := rollupSchedule()
	if limit := limitOf(stepRollUp); limit.altogether >= rollupTimeout || rollupCatchUpMax+rollupTimeout >= rollupTickTimeout || schedule.Overlap == 0 {
		t.Error("a step outlives its day, or a day its tick")
	}
}
