package workflows

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

const (
	// tickMargin is how long after a window closed its tick comes: the ingester
	// needs a moment to commit the window's last clicks.
	tickMargin  = 5 * time.Second
	tickTimeout = 5 * time.Minute
	// tickCatchup: a tick asks what is due, so one missed tick is made up for by
	// any later one, and ticks from the time of an outage are of no use.
	tickCatchup = time.Minute
)

// Schedules are what setup creates and keeps as they are here, for a ledger
// with the given allowed lateness.
func Schedules(lateness time.Duration) []client.ScheduleOptions {
	return []client.ScheduleOptions{
		flushSchedule(lateness), hotAdsSchedule(), archiveSchedule(), exportSchedule(), cleanSchedule(), reconcileSchedule(), rollupSchedule(),
	}
}

// flushSchedule starts FlushTick every minute, soon after a window closes: with
// 10 s of lateness 15 seconds past. A tick that hangs would end all others by
// Skip, hence its timeout.
func flushSchedule(lateness time.Duration) client.ScheduleOptions {
	second := int((lateness + tickMargin) % time.Minute / time.Second)
	return client.ScheduleOptions{
		ID: FlushScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: second}},
			Minute:  []client.ScheduleRange{{Start: 0, End: 59}},
			Hour:    []client.ScheduleRange{{Start: 0, End: 23}},
			Comment: "every minute, soon after a window closes",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       FlushScheduleID,
			Workflow:                 FlushTick,
			Args:                     []any{FlushTickInput{}},
			TaskQueue:                FlushQueue,
			WorkflowExecutionTimeout: tickTimeout,
			TypedSearchAttributes:    jobAttributes(JobTick),
			StaticSummary:            "starts the flushes that are due",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
