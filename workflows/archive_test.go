package workflows

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
)

func archiveEnvironment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := newEnvironment(t)
	env.RegisterActivity(&activities.Archive{})
	return env
}

func someRanges() []click.PartitionRange {
	return []click.PartitionRange{
		{Partition: 0, OffsetSpan: click.OffsetSpan{First: 10, Next: 20}},
		{Partition: 1, OffsetSpan: click.OffsetSpan{First: 7, Next: 7}}, // idle
		{Partition: 2, OffsetSpan: click.OffsetSpan{First: 30, Next: 33}, Lost: &click.OffsetSpan{First: 25, Next: 30}},
	}
}

// rangeOf is what a range becomes when one of its records is no click.
func rangeOf(r click.PartitionRange) click.ArchivedRange {
	return click.ArchivedRange{
		PartitionRange: r, Rows: r.Len() - 1, NotClicks: 1,
		Objects: []click.LakeObject{{Path: "object", OffsetSpan: r.OffsetSpan, Rows: r.Len() - 1, Bytes: 100}},
	}
}

func TestAnArchivePublishesWhatItWroteOfTheRangesItFixed(t *testing.T) {
	env, w, ranges := archiveEnvironment(t), window(t, "2026-11-23T10:05Z"), someRanges()
	env.OnActivity(archive.FixRanges, mock.Anything, activities.FixRangesInput{Window: w}).
		Return(activities.FixRangesResult{Topic: "clicks", TopicID: "id", Ranges: ranges}, nil).Once()
	env.OnActivity(archive.WriteRange, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.WriteRangeInput) (activities.WriteRangeResult, error) {
			return activities.WriteRangeResult{Range: rangeOf(in.Range)}, nil
		}).Times(2)
	env.OnActivity(archive.PublishManifest, mock.Anything, activities.PublishManifestInput{
		Window: w, Topic: "clicks", TopicID: "id",
		Ranges: []click.ArchivedRange{rangeOf(ranges[0]), {PartitionRange: ranges[1]}, rangeOf(ranges[2])},
	}).Return(activities.PublishManifestResult{}, nil).Once()
	env.ExecuteWorkflow(ArchiveWindow, ArchiveWindowInput{Window: w})
	var result ArchiveWindowResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if want := (ArchiveWindowResult{Clicks: 11, NotClicks: 2, Objects: 2, Bytes: 200, Lost: 5}); result != want {
		t.Errorf("result %+v, want %+v", result, want)
	}
	env.AssertExpectations(t)
}

func TestRangesThatWereDroppedMeanwhileAreFixedAnew(t *testing.T) {
	env, w := archiveEnvironment(t), window(t, "2026-11-23T10:05Z")
	fixed := 0
	env.OnActivity(archive.FixRanges, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.FixRangesInput) (activities.FixRangesResult, error) {
			fixed++
			return activities.FixRangesResult{Ranges: someRanges()[:1]}, nil
		})
	env.OnActivity(archive.WriteRange, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.WriteRangeInput) (activities.WriteRangeResult, error) {
			if fixed < 3 {
				return activities.WriteRangeResult{}, temporal.NewNonRetryableApplicationError("gone", activities.ErrorGone, nil)
			}
			return activities.WriteRangeResult{Range: rangeOf(in.Range)}, nil
		})
	env.OnActivity(archive.PublishManifest, mock.Anything, mock.Anything).Return(activities.PublishManifestResult{}, nil).Once()
	env.ExecuteWorkflow(ArchiveWindow, ArchiveWindowInput{Window: w})
	if err := env.GetWorkflowError(); err != nil || fixed != 3 {
		t.Errorf("fixed %d times, %v", fixed, err)
	}
}

func TestAnArchiveOfAnotherTopicStopsAtOnce(t *testing.T) {
	env, asked := archiveEnvironment(t), 0
	env.OnActivity(archive.FixRanges, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.FixRangesInput) (activities.FixRangesResult, error) {
			asked++
			return activities.FixRangesResult{}, temporal.NewNonRetryableApplicationError("another topic", activities.ErrorOtherTopic, nil)
		})
	env.ExecuteWorkflow(ArchiveWindow, ArchiveWindowInput{Window: window(t, "2026-11-23T10:05Z")})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorOtherTopic || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestAnArchivedWindowIsLeftAlone(t *testing.T) {
	env := archiveEnvironment(t)
	env.OnActivity(archive.FixRanges, mock.Anything, mock.Anything).Return(activities.FixRangesResult{Archived: true}, nil).Once()
	env.ExecuteWorkflow(ArchiveWindow, ArchiveWindowInput{Window: window(t, "2026-11-23T10:05Z")})
	var result ArchiveWindowResult
	if err := env.GetWorkflowResult(&result); err != nil || !result.ArchivedAlready {
		t.Errorf("result %+v, %v", result, err)
	}
}

func TestAnArchiveWithoutWindowSaysWhatItsInputIs(t *testing.T) {
	env := archiveEnvironment(t)
	env.ExecuteWorkflow(ArchiveWindow, ArchiveWindowInput{})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorBadInput || !strings.Contains(err.Error(), `{"window":`) {
		t.Error(err)
	}
}

// archiving has windows due from first to before end, as the lake would tell,
// and returns the order in which they were archived.
func archiving(env *testsuite.TestWorkflowEnvironment, first, end click.Window, takes time.Duration) *[]click.Window {
	var mu sync.Mutex
	done, next := new([]click.Window), first
	env.OnActivity(archive.PlanArchive, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.PlanArchiveInput) (activities.PlanArchiveResult, error) {
			mu.Lock()
			defer mu.Unlock()
			plan := activities.PlanArchiveResult{Through: next.Start()}
			for w := next; w.Before(end); w = click.NextArchive(w) {
				if len(plan.Due) == in.Limit {
					plan.More = true
					break
				}
				plan.Due = append(plan.Due, w)
			}
			return plan, nil
		})
	env.OnActivity(archive.FixRanges, mock.Anything, mock.Anything).Return(activities.FixRangesResult{}, nil).After(takes)
	env.OnActivity(archive.PublishManifest, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.PublishManifestInput) (activities.PublishManifestResult, error) {
			mu.Lock()
			defer mu.Unlock()
			*done, next = append(*done, in.Window), click.NextArchive(in.Window)
			return activities.PublishManifestResult{}, nil
		})
	return done
}

func TestATickCatchesUpInOrder(t *testing.T) {
	first := window(t, "2026-11-23T10:05Z")
	end := click.ArchiveWindowOf(first.Start().Add(3 * archivesPlannedMax / 2 * click.ArchiveLength))
	env := archiveEnvironment(t)
	done := archiving(env, first, end, time.Second)
	env.ExecuteWorkflow(ArchiveTick, ArchiveTickInput{})
	var result ArchiveTickResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if result.Archived != 3*archivesPlannedMax/2 || !result.Through.Equal(end.Start()) {
		t.Errorf("result %+v, want all up to %s", result, end)
	}
	if !slices.IsSortedFunc(*done, func(a, b click.Window) int { return a.Start().Compare(b.Start()) }) || len(*done) != result.Archived {
		t.Errorf("archived %v", *done)
	}
}

func TestATickThatCatchesUpEndsInTime(t *testing.T) {
	first := window(t, "2026-11-23T10:05Z")
	env := archiveEnvironment(t)
	began := env.Now()
	archiving(env, first, click.ArchiveWindowOf(first.Start().Add(1000*click.ArchiveLength)), 30*time.Second)
	env.ExecuteWorkflow(ArchiveTick, ArchiveTickInput{})
	var result ArchiveTickResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if took := env.Now().Sub(began); took > archiveTickTimeout || result.Archived < 8 {
		t.Errorf("archived %d windows in %v", result.Archived, took)
	}
}

func TestATickTellsOfTheAlarm(t *testing.T) {
	details := archiveDetails(ArchiveTickResult{Archived: 2, Through: window(t, "2026-11-23T10:05Z").Start(), Alarm: "It is late."}, "")
	if want := "2 windows archived, the lake is complete up to 2026-11-23T10:05:00Z\n\n**It is late.**"; details != want {
		t.Errorf("details %q", details)
	}
}
