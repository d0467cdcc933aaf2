package workflows

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"clickledger/activities"
	"clickledger/internal/click"
)

func TestACleanUpLooksAtEveryDayInTurn(t *testing.T) {
	env := newEnvironment(t)
	env.RegisterActivity(&activities.Leftovers{})
	days := []string{"2026-11-22", "2026-11-23"}
	var looked []string
	env.OnActivity(leftovers.ListLeftoverDays, mock.Anything, activities.ListLeftoverDaysInput{Limit: cleanDaysMax}).
		Return(activities.ListLeftoverDaysResult{Days: days}, nil).Once()
	tries := 0
	env.OnActivity(leftovers.RemoveLeftovers, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.RemoveLeftoversInput) (activities.RemoveLeftoversResult, error) {
			if tries++; tries == 1 {
				return activities.RemoveLeftoversResult{}, click.ErrUnavailable
			}
			looked = append(looked, in.Day)
			return activities.RemoveLeftoversResult{Objects: 9, Removed: 2, Bytes: 50, Kept: 1}, nil
		})
	env.OnActivity(leftovers.RemoveStaged, mock.Anything, activities.RemoveStagedInput{}).
		Return(activities.RemoveStagedResult{Removed: 3, Bytes: 7}, nil).Once()
	env.ExecuteWorkflow(CleanLake, CleanLakeInput{})
	var result CleanLakeResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if want := (CleanLakeResult{Days: 2, Removed: 7, Bytes: 107, Kept: 2}); result != want || !slices.Equal(looked, days) {
		t.Errorf("looked at %v, result %+v, want %+v", looked, result, want)
	}
}

func TestACleanUpStopsWhereOffsetsAreOfTwoTopics(t *testing.T) {
	env, tries := newEnvironment(t), 0
	env.RegisterActivity(&activities.Leftovers{})
	env.OnActivity(leftovers.ListLeftoverDays, mock.Anything, mock.Anything).
		Return(activities.ListLeftoverDaysResult{Days: []string{"2026-11-22", "2026-11-23"}}, nil)
	env.OnActivity(leftovers.RemoveLeftovers, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RemoveLeftoversInput) (activities.RemoveLeftoversResult, error) {
			tries++
			return activities.RemoveLeftoversResult{}, temporal.NewNonRetryableApplicationError("two topics", activities.ErrorOtherTopic, nil)
		})
	env.ExecuteWorkflow(CleanLake, CleanLakeInput{})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorOtherTopic || tries != 1 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

func TestCleanDetailsListDaysWithLeftovers(t *testing.T) {
	details := cleanDetails(CleanLakeResult{Days: 3, Removed: 2, Bytes: 50}, []string{"| 2026-11-23 | 9 | 2 | 0 |"}, "looks at 2026-11-24")
	if !strings.HasPrefix(details, "3 days looked at, 2 objects deleted (50 bytes); looks at 2026-11-24\n") || !strings.HasSuffix(details, "\n| 2026-11-23 | 9 | 2 | 0 |") {
		t.Error(details)
	}
}
