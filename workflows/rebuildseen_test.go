package workflows

import (
	"context"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"clickledger/activities"
)

func TestRebuildIsBegunAnewUntilItSucceeds(t *testing.T) {
	env := newEnvironment(t)
	env.RegisterActivity(&activities.RebuildSeen{})
	tries := 0
	env.OnActivity(rebuildSeen.RefillSeen, mock.Anything, activities.RefillSeenInput{Force: true}).Return(
		func(context.Context, activities.RefillSeenInput) (activities.RefillSeenResult, error) {
			if tries++; tries < 8 {
				return activities.RefillSeenResult{}, temporal.NewApplicationError("lost", activities.ErrorSeenLost)
			}
			return activities.RefillSeenResult{Impressions: 7}, nil
		})
	env.ExecuteWorkflow(RebuildSeen, RebuildSeenInput{Force: true})
	var result RebuildSeenResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if want := (RebuildSeenResult{Impressions: 7}); result != want || tries != 8 {
		t.Errorf("result %+v after %d tries, want %+v after 8", result, tries, want)
	}
}
