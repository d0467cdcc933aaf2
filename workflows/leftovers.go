package workflows

import (
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
)

// CleanScheduleID names the schedule that starts CleanLake.
const CleanScheduleID = "clean-lake"

// JobClean is the job of CleanLake.
const JobClean Job = "clean"

const (
	// When in a day a clean-up comes: at night, away from the ticks.
	cleanHour   = 3
	cleanMinute = 27
	cleanSecond = 20
	// cleanDaysMax is how many days back leftovers are looked for: far more than
	// Kafka keeps, and so than an archive can be late.
	cleanDaysMax = 30
	cleanTimeout = 2 * time.Hour
	// stagedChange: what backfills staged is deleted too, since 2026-11-25.
	stagedChange = "staged"
)

var leftovers *activities.Leftovers // a typed nil: it only names the activities

// CleanLakeInput is empty: the lake is asked.
type CleanLakeInput struct{}

// CleanLakeResult is what was deleted.
type CleanLakeResult struct {
	Days    int   `json:"days"` // looked at
	Removed int   `json:"removed"`
	Bytes   int64 `json:"bytes"`
	Kept    int   `json:"kept"` // named by no manifest, but perhaps the only copy of something
}

// CleanLake deletes what attempts to archive left behind, day by day, and what
// backfills did. It is safe at any time, beside either.
func CleanLake(ctx workflow.Context, _ CleanLakeInput) (CleanLakeResult, error) {
	var result CleanLakeResult
	plan, err := execute(ctx, optionsFor(stepListLeftovers, ""), leftovers.ListLeftoverDays, activities.ListLeftoverDaysInput{Limit: cleanDaysMax})
	if err != nil {
		return result, err
	}
	var found []string
	for _, day := range plan.Days {
		workflow.SetCurrentDetails(ctx, cleanDetails(result, found, "looks at "+day))
		done, err := execute(ctx, optionsFor(stepRemoveLeftovers, day), leftovers.RemoveLeftovers, activities.RemoveLeftoversInput{Day: day})
		if err != nil {
			return result, err
		}
		result.Days++
		result.Removed += done.Removed
		result.Bytes += done.Bytes
		result.Kept += done.Kept
		if done.Removed+done.Kept > 0 {
			found = append(found, fmt.Sprintf("| %s | %d | %d | %d |", day, done.Objects, done.Removed, done.Kept))
		}
	}
	if workflow.GetVersion(ctx, stagedChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		done, err := execute(ctx, optionsFor(stepRemoveLeftovers, "of backfills"), leftovers.RemoveStaged, activities.RemoveStagedInput{})
		if err != nil {
			return result, err
		}
		result.Removed += done.Removed
		result.Bytes += done.Bytes
	}
	workflow.SetCurrentDetails(ctx, cleanDetails(result, found, ""))
	return result, nil
}

// cleanDetails is what the UI shows, in Markdown.
func cleanDetails(result CleanLakeResult, found []string, now string) string {
	lines := []string{fmt.Sprintf("%d days looked at, %d objects deleted (%d bytes)", result.Days, result.Removed, result.Bytes)}
	if now != "" {
		lines[0] += "; " + now
	}
	if len(found) > 0 {
		lines = append(append(lines, "", "| day | objects | deleted | kept though no manifest names them |", "|---|---|---|---|"), found...)
	}
	return strings.Join(lines, "\n")
}

// cleanSchedule starts CleanLake once a day. One that was missed is made up for
// by the next.
func cleanSchedule() client.ScheduleOptions {
	return client.ScheduleOptions{
		ID: CleanScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: cleanSecond}},
			Minute:  []client.ScheduleRange{{Start: cleanMinute}},
			Hour:    []client.ScheduleRange{{Start: cleanHour}},
			Comment: "once a day, at night",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       CleanScheduleID,
			Workflow:                 CleanLake,
			Args:                     []any{CleanLakeInput{}},
			TaskQueue:                OperationsQueue,
			WorkflowExecutionTimeout: cleanTimeout,
			TypedSearchAttributes:    jobAttributes(JobClean),
			StaticSummary:            "deletes what no manifest of the lake will ever name",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
