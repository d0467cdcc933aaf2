package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// ArchiveScheduleID names the schedule that starts ArchiveTick.
const ArchiveScheduleID = "archive-tick"

// JobArchive is the job of ArchiveWindow.
const JobArchive Job = "archive"

const (
	archivesPlannedMax = 24 // windows in one plan; a tick makes as many plans as it has time for
	// archiveRangesMax is how many partitions of a window are written at a time.
	archiveRangesMax = 2
	// archiveRangesFixedMax is how often ranges are fixed anew because the
	// stream has dropped some of them meanwhile.
	archiveRangesFixedMax = 5
	archiveTimeout        = time.Hour
	// archiveTickTimeout is more than twice catchUpMax: the last window is begun
	// within one, and waited for as long at most.
	archiveTickTimeout = 10 * time.Minute
	// archiveSecond is when in a minute a tick comes: more than the margin that
	// windows are archived after, away from other ticks.
	archiveSecond = 35
)

var archive *activities.Archive // a typed nil: it only names the activities

// ArchiveWindowID is the id of the archive of the window that begins with w.
func ArchiveWindowID(w click.Window) string { return "archive/" + w.String() }

// ArchiveTickInput is empty: a tick asks the lake what is due.
type ArchiveTickInput struct{}

// ArchiveTickResult is what a tick did.
type ArchiveTickResult struct {
	Archived int       `json:"archived"` // windows
	Through  time.Time `json:"through,omitzero"`
	Alarm    string    `json:"alarm,omitempty"`
}

// ArchiveTick archives the windows that are due, one after the other: where one
// ends the next begins. It is level triggered: a tick that was missed is made
// up for by the next. After an outage it catches up as long as a tick may take.
func ArchiveTick(ctx workflow.Context, _ ArchiveTickInput) (ArchiveTickResult, error) {
	began, result := workflow.Now(ctx), ArchiveTickResult{}
	for {
		plan, err := execute(ctx, optionsFor(stepPlanArchive, ""), archive.PlanArchive, activities.PlanArchiveInput{Limit: archivesPlannedMax})
		if err != nil {
			return result, err
		}
		result.Through, result.Alarm = plan.Through, plan.Alarm
		for _, w := range plan.Due {
			workflow.SetCurrentDetails(ctx, archiveDetails(result, "archives "+w.String()))
			if workflow.Now(ctx).Sub(began) > catchUpMax {
				return result, nil
			}
			done, err := archiveNext(ctx, w)
			if err != nil {
				return result, err
			}
			if !done { // another run has it; the next tick goes on from there
				return result, nil
			}
			result.Archived++
			result.Through = click.ArchiveEnd(w)
		}
		workflow.SetCurrentDetails(ctx, archiveDetails(result, ""))
		if !plan.More {
			return result, nil
		}
	}
}

// archiveNext archives one window and waits until it is done, but not beyond
// the tick's time; it is not done either if another run of it is going on.
func archiveNext(ctx workflow.Context, w click.Window) (done bool, err error) {
	run := child(ctx, archiveOptions(w), ArchiveWindow, ArchiveWindowInput{Window: w})
	err = run.GetChildWorkflowExecution().Get(ctx, nil)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("start archive: %w", err)
	}
	finished, err := workflow.AwaitWithTimeout(ctx, catchUpMax, run.IsReady)
	if err != nil || !finished {
		return false, err
	}
	return true, plain(run.Get(ctx, nil))
}

// archiveDetails is what the UI shows of a tick, in Markdown.
func archiveDetails(result ArchiveTickResult, now string) string {
	details := fmt.Sprintf("%d windows archived", result.Archived)
	if !result.Through.IsZero() {
		details += ", the lake is complete up to " + result.Through.UTC().Format(time.RFC3339)
	}
	if now != "" {
		details += "; " + now
	}
	if result.Alarm != "" {
		details += "\n\n**" + result.Alarm + "**"
	}
	return details
}

// ArchiveWindowInput names the window; an operator may give it by hand:
// {"window":"2026-11-23T10:05Z"}.
type ArchiveWindowInput struct {
	Window click.Window `json:"window"`
}

// ArchiveWindowResult is what came into the lake.
type ArchiveWindowResult struct {
	Clicks    int64 `json:"clicks"`
	NotClicks int64 `json:"not_clicks"` // records that are none: dead letters
	Objects   int   `json:"objects"`
	Bytes     int64 `json:"bytes"`
	Lost      int64 `json:"lost"` // offsets that the stream dropped before they were archived
	// ArchivedAlready says that there was nothing to do.
	ArchivedAlready bool `json:"archived_already,omitempty"`
}

// ArchiveWindow copies one archive window of the stream into the lake: fix the
// ranges, write their objects, publish the manifest. Run again, it changes
// nothing.
func ArchiveWindow(ctx workflow.Context, in ArchiveWindowInput) (ArchiveWindowResult, error) {
	if in.Window == (click.Window{}) {
		return ArchiveWindowResult{}, activities.BadInput(`no window given; the input is {"window":"2026-11-23T10:05Z"}`)
	}
	if err := describe(ctx, JobArchive, in.Window); err != nil {
		return ArchiveWindowResult{}, err
	}
	for attempt := 1; ; attempt++ {
		workflow.SetCurrentDetails(ctx, "decides which offsets the window consists of")
		fixed, err := execute(ctx, optionsFor(stepFixRanges, ""), archive.FixRanges, activities.FixRangesInput(in))
		if err != nil {
			return ArchiveWindowResult{}, err
		}
		if fixed.Archived {
			workflow.SetCurrentDetails(ctx, "was archived already")
			return ArchiveWindowResult{ArchivedAlready: true}, nil
		}
		written, err := writeRanges(ctx, in.Window, fixed.Ranges)
		if err == nil {
			return publish(ctx, in.Window, fixed, written)
		}
		var said *temporal.ApplicationError
		if !errors.As(err, &said) || said.Type() != activities.ErrorGone || attempt == archiveRangesFixedMax {
			return ArchiveWindowResult{}, err
		}
		workflow.GetLogger(ctx).Error("the stream dropped clicks while they were archived", "window", in.Window.String(), "error", err)
	}
}

// writeRanges writes the objects of all ranges, some at a time. Empty ranges
// need no activity.
func writeRanges(ctx workflow.Context, w click.Window, ranges []click.PartitionRange) ([]click.ArchivedRange, error) {
	var offsets int64
	for _, r := range ranges {
		offsets += r.Len()
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("writes %d records of %d partitions", offsets, len(ranges)))
	written, faults := make([]click.ArchivedRange, len(ranges)), make([]error, len(ranges))
	slots, all := workflow.NewSemaphore(ctx, archiveRangesMax), workflow.NewWaitGroup(ctx)
	for i, r := range ranges {
		written[i].PartitionRange = r
		if r.Len() == 0 {
			continue
		}
		all.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer all.Done()
			if faults[i] = slots.Acquire(ctx, 1); faults[i] != nil {
				return
			}
			defer slots.Release(1)
			summary := fmt.Sprintf("partition %d, %d records", r.Partition, r.Len())
			result, err := execute(ctx, optionsFor(stepWriteRange, summary), archive.WriteRange, activities.WriteRangeInput{Window: w, Range: r})
			written[i], faults[i] = result.Range, err
		})
	}
	all.Wait(ctx)
	for _, fault := range faults { // the first by partition, whichever came first
		if fault != nil {
			return nil, fault
		}
	}
	return written, nil
}

func publish(ctx workflow.Context, w click.Window, fixed activities.FixRangesResult, written []click.ArchivedRange) (ArchiveWindowResult, error) {
	result := ArchiveWindowResult{}
	for _, r := range written {
		result.Clicks += r.Rows
		result.NotClicks += r.NotClicks
		result.Objects += len(r.Objects)
		if r.Lost != nil {
			result.Lost += r.Lost.Len()
		}
		for _, o := range r.Objects {
			result.Bytes += o.Bytes
		}
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("checks %d objects and publishes the manifest", result.Objects))
	in := activities.PublishManifestInput{Window: w, Topic: fixed.Topic, TopicID: fixed.TopicID, Ranges: written}
	summary := fmt.Sprintf("%d clicks in %d objects", result.Clicks, result.Objects)
	if _, err := execute(ctx, optionsFor(stepPublish, summary), archive.PublishManifest, in); err != nil {
		return ArchiveWindowResult{}, err
	}
	details := fmt.Sprintf("**archived**: %d clicks in %d objects, %d bytes", result.Clicks, result.Objects, result.Bytes)
	if result.NotClicks > 0 {
		details += fmt.Sprintf("; %d records were no clicks", result.NotClicks)
	}
	if result.Lost > 0 {
		details += fmt.Sprintf("\n\n**%d records are lost to the lake: Kafka dropped them before they were archived.**", result.Lost)
	}
	workflow.SetCurrentDetails(ctx, details)
	return result, nil
}

// archiveOptions is how an archive is started as a child. It outlives its parent.
func archiveOptions(w click.Window) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               ArchiveWindowID(w),
		TaskQueue:                OperationsQueue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionTimeout: archiveTimeout,
		StaticSummary:            fmt.Sprintf("clicks that Kafka took from %s to %s", w.Start().Format("15:04"), click.ArchiveEnd(w).Format("15:04")),
		TypedSearchAttributes:    temporal.NewSearchAttributes(windowAttributes(JobArchive, w)...),
	}
}

// archiveSchedule starts ArchiveTick every five minutes.
func archiveSchedule() client.ScheduleOptions {
	return client.ScheduleOptions{
		ID: ArchiveScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: archiveSecond}},
			Minute:  []client.ScheduleRange{{Start: 0, End: 59, Step: int(click.ArchiveLength / time.Minute)}},
			Hour:    []client.ScheduleRange{{Start: 0, End: 23}},
			Comment: "every five minutes, soon after an archive window is over",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       ArchiveScheduleID,
			Workflow:                 ArchiveTick,
			Args:                     []any{ArchiveTickInput{}},
			TaskQueue:                OperationsQueue,
			WorkflowExecutionTimeout: archiveTickTimeout,
			TypedSearchAttributes:    jobAttributes(JobTick),
			StaticSummary:            "archives the windows that are due",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
