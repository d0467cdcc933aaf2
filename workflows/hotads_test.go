package workflows

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"

	"clickledger/activities"
	"clickledger/internal/click"
)

func TestHotAdsAreSpreadAndColdOnesTakenBack(t *testing.T) {
	env := newEnvironment(t)
	env.RegisterActivity(&activities.HotAds{})
	plan := activities.PlanFanOutsResult{
		Hot: []click.FanOut{{AdID: 2, AdvertiserID: 7, FanOut: 240}, {AdID: 3, AdvertiserID: 7, FanOut: 240}, {AdID: 4, AdvertiserID: 7, FanOut: 240}},
		Changes: []click.FanOut{
			{AdID: 1, AdvertiserID: 7, FanOut: 240, Version: 9}, // raised
			{AdID: 2, AdvertiserID: 7, FanOut: 1, Version: 9},   // lowered
			{AdID: 3, AdvertiserID: 7, FanOut: 240, Version: 9}, // still hot
		},
	}
	env.OnActivity(hotAds.PlanFanOuts, mock.Anything, activities.PlanFanOutsInput{}).Return(plan, nil).Once()
	env.OnActivity(hotAds.SpreadAds, mock.Anything, activities.SpreadAdsInput{Changes: plan.Changes, Hot: plan.Hot}).
		Return(activities.SpreadAdsResult{Told: 4}, nil).Once()
	env.ExecuteWorkflow(FindHotAds, FindHotAdsInput{})
	var result FindHotAdsResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if want := (FindHotAdsResult{Hot: 3, Raised: 1, Lowered: 1, Told: 4}); result != want {
		t.Errorf("result %+v, want %+v", result, want)
	}
	env.AssertExpectations(t)
}

func TestNothingIsWrittenWhileNoAdIsHot(t *testing.T) {
	env := newEnvironment(t)
	env.RegisterActivity(&activities.HotAds{})
	env.OnActivity(hotAds.PlanFanOuts, mock.Anything, mock.Anything).Return(activities.PlanFanOutsResult{}, nil).Once()
	env.ExecuteWorkflow(FindHotAds, FindHotAdsInput{}) // SpreadAds is not expected: it would fail
	if err := env.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}

func TestDetailsNameTheHotAdsButNotAllOfThem(t *testing.T) {
	spread := make([]click.FanOut, hotAdsNamed+5)
	for i := range spread {
		spread[i] = click.FanOut{AdID: int64(1000 + i), AdvertiserID: 7, FanOut: 240}
	}
	details := hotAdsDetails(FindHotAdsResult{Hot: len(spread)}, spread)
	if !strings.Contains(details, "| 1000 | 7 | 240 |") || !strings.Contains(details, "and 5 more") || strings.Contains(details, "1054") {
		t.Error(details)
	}
}
