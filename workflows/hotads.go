package workflows

import (
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// HotAdsScheduleID names the schedule that starts FindHotAds.
const HotAdsScheduleID = "hot-ads"

// JobHotAds is the job of FindHotAds.
const JobHotAds Job = "hot-ads"

const (
	// hotAdsSecond is when in a minute it comes: away from the tick.
	hotAdsSecond  = 45
	hotAdsTimeout = 2 * time.Minute
	hotAdsNamed   = 50 // ads named in the details
)

var hotAds *activities.HotAds // a typed nil: it only names the activities

// FindHotAdsInput is empty: the store is asked.
type FindHotAdsInput struct{}

// FindHotAdsResult is what was found and done.
type FindHotAdsResult struct {
	Hot     int `json:"hot"` // ads that are spread, after this run
	Raised  int `json:"raised"`
	Lowered int `json:"lowered"`
	Told    int `json:"told"` // ads the gateways were told of
}

// FindHotAds spreads ads that alone fill a good part of a partition over all
// of them, at once, and takes the fan-out back from those that were not hot for
// a day. Tokens issued from then on carry it; those that are out keep theirs.
func FindHotAds(ctx workflow.Context, _ FindHotAdsInput) (FindHotAdsResult, error) {
	plan, err := execute(ctx, optionsFor(stepPlanFanOuts, ""), hotAds.PlanFanOuts, activities.PlanFanOutsInput{})
	if err != nil {
		return FindHotAdsResult{}, err
	}
	result, spread := judgeHotAds(plan)
	workflow.SetCurrentDetails(ctx, hotAdsDetails(result, spread))
	if len(plan.Changes) == 0 && len(plan.Hot) == 0 {
		return result, nil
	}
	summary := fmt.Sprintf("%d raised, %d lowered", result.Raised, result.Lowered)
	done, err := execute(ctx, optionsFor(stepSpread, summary), hotAds.SpreadAds, activities.SpreadAdsInput{Changes: plan.Changes, Hot: plan.Hot})
	result.Told = done.Told
	return result, err
}

// judgeHotAds counts what a plan changes, and lists what is spread after it.
func judgeHotAds(plan activities.PlanFanOutsResult) (FindHotAdsResult, []click.FanOut) {
	var result FindHotAdsResult
	changed := map[int64]bool{}
	was := map[int64]uint8{}
	for _, each := range plan.Hot {
		was[each.AdID] = each.FanOut
	}
	var spread []click.FanOut
	for _, each := range plan.Changes {
		changed[each.AdID] = true
		before := max(was[each.AdID], click.FanOutCold)
		switch {
		case each.FanOut > before:
			result.Raised++
		case each.FanOut < before:
			result.Lowered++
		}
		if each.FanOut > click.FanOutCold {
			spread = append(spread, each)
		}
	}
	for _, each := range plan.Hot {
		if !changed[each.AdID] {
			spread = append(spread, each)
		}
	}
	result.Hot = len(spread)
	return result, spread
}

// hotAdsDetails is what the UI shows, in Markdown.
func hotAdsDetails(result FindHotAdsResult, spread []click.FanOut) string {
	lines := []string{fmt.Sprintf("%d hot ads, %d raised, %d lowered", result.Hot, result.Raised, result.Lowered)}
	if len(spread) > 0 {
		lines = append(lines, "", "| ad | advertiser | fan-out |", "|---|---|---|")
	}
	for _, each := range spread[:min(len(spread), hotAdsNamed)] {
		lines = append(lines, fmt.Sprintf("| %d | %d | %d |", each.AdID, each.AdvertiserID, each.FanOut))
	}
	if more := len(spread) - hotAdsNamed; more > 0 {
		lines = append(lines, "", fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// hotAdsSchedule starts FindHotAds every minute. One that was missed is made up
// for by the next.
func hotAdsSchedule() client.ScheduleOptions {
	return client.ScheduleOptions{
		ID: HotAdsScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: hotAdsSecond}},
			Minute:  []client.ScheduleRange{{Start: 0, End: 59}},
			Hour:    []client.ScheduleRange{{Start: 0, End: 23}},
			Comment: "every minute, away from the flushes",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       HotAdsScheduleID,
			Workflow:                 FindHotAds,
			Args:                     []any{FindHotAdsInput{}},
			TaskQueue:                OperationsQueue,
			WorkflowExecutionTimeout: hotAdsTimeout,
			TypedSearchAttributes:    jobAttributes(JobHotAds),
			StaticSummary:            "spreads hot ads over the partitions",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
