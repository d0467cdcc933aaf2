package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// lakeDouble is a lake in which every chunk has a click that the store does not
// have, until it is repaired.
type lakeDouble struct {
	mu       sync.Mutex // activities run beside each other
	tail     click.LakeTail
	faults   map[click.Window]error // what comparing a chunk that begins there ends with
	begun    []activities.FixLakeInput
	repaired []click.Window
	recorded int
	inFlight int
	most     int // chunks at a time
	staged   []activities.StageTailInput
	removed  int
	refilled int
	due      []click.Day // to be rolled up
	unrolled error       // what rolling up a day ends with
}

func backfillEnvironment(t *testing.T, d *lakeDouble, takes time.Duration) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := reconcileEnvironment(t)
	done := map[click.Window]bool{}
	env.OnActivity(archive.StageTail, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.StageTailInput) (activities.StageTailResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.staged = append(d.staged, in)
			return activities.StageTailResult{Tail: d.tail}, nil
		})
	env.OnActivity(archive.RemoveTail, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RemoveTailInput) (activities.RemoveTailResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.removed++
			return activities.RemoveTailResult{}, nil
		})
	env.OnActivity(rebuildSeen.RefillSeen, mock.Anything, activities.RefillSeenInput{Force: true}).Return(
		func(context.Context, activities.RefillSeenInput) (activities.RefillSeenResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refilled++
			return activities.RefillSeenResult{}, nil
		}).After(takes)
	env.OnActivity(reconcile.FixLake, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.FixLakeInput) (activities.FixLakeResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if !done[in.From] {
				d.begun = append(d.begun, in)
				d.inFlight++
				d.most = max(d.most, d.inFlight)
			}
			return activities.FixLakeResult{Snapshot: click.LakeSnapshot{From: in.From, To: in.To, Version: 1}}, nil
		})
	env.OnActivity(reconcile.CompareLake, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.CompareLakeInput) (activities.CompareLakeResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			at := in.Snapshot.From
			if err := d.faults[at]; err != nil {
				d.inFlight--
				return activities.CompareLakeResult{}, err
			}
			if done[at] {
				return activities.CompareLakeResult{Comparison: click.Comparison{Lake: 10, Store: 10, Figures: 10}}, nil
			}
			return activities.CompareLakeResult{Comparison: click.Comparison{
				Lake: 10, Store: 9, Missing: 1, Places: 1, Minutes: []click.MinuteDelta{{Minute: at, Lake: 10, Store: 9, Missing: 1}},
			}}, nil
		}).After(takes)
	env.OnActivity(reconcile.RepairClicks, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.RepairClicksInput) (activities.RepairClicksResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.repaired = append(d.repaired, in.Snapshot.From)
			done[in.Snapshot.From] = true
			return activities.RepairClicksResult{Inserted: 1}, nil
		})
	env.OnActivity(rollup.PlanRollups, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.PlanRollupsInput) (activities.PlanRollupsResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.recorded == 0 {
				return activities.PlanRollupsResult{}, errors.New("asked what is due before anything is reconciled")
			}
			return activities.PlanRollupsResult{Due: d.due}, nil
		}).Maybe()
	env.OnActivity(rollup.RollUp, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RollUpInput) (activities.RollUpResult, error) {
			return activities.RollUpResult{}, d.unrolled
		}).Maybe()
	env.OnActivity(reconcile.FlushSpan, mock.Anything, mock.Anything).Return(activities.FlushSpanResult{Restated: 2}, nil)
	env.OnActivity(reconciliations.RecordReconciliation, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RecordReconciliationInput) (activities.RecordReconciliationResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.recorded++
			d.inFlight--
			return activities.RecordReconciliationResult{}, nil
		})
	return env
}

// morning is the range of the tests: 08:30 to 11:15, four chunks.
func morning(t *testing.T) BackfillInput {
	t.Helper()
	return BackfillInput{From: window(t, "2026-11-23T08:30Z"), To: window(t, "2026-11-23T11:15Z"), Parallelism: 1}
}

func backfilled(t *testing.T, env *testsuite.TestWorkflowEnvironment) BackfillResult {
	t.Helper()
	var result BackfillResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result
}

// progressOf asks the Query.
func progressOf(t *testing.T, env *testsuite.TestWorkflowEnvironment) BackfillProgress {
	t.Helper()
	var value converter.EncodedValue
	value, err := env.QueryWorkflow(ProgressQuery)
	var progress BackfillProgress
	if err == nil {
		err = value.Get(&progress)
	}
	if err != nil {
		t.Error(err)
	}
	return progress
}

// steer sends an Update, which must be accepted.
func steer(t *testing.T, env *testsuite.TestWorkflowEnvironment, name string, args ...any) {
	t.Helper()
	env.UpdateWorkflowNoRejection(name, name, t, args...)
}

func TestABackfillGoesOverItsRangeHourByHour(t *testing.T) {
	d := &lakeDouble{}
	env := backfillEnvironment(t, d, time.Minute)
	env.ExecuteWorkflow(Backfill, morning(t))
	result := backfilled(t, env)
	var spans []string
	for _, in := range d.begun {
		spans = append(spans, spanText(in.From, in.To))
	}
	want := []string{"2026-11-23T08:30Z to 2026-11-23T09:00Z", "hour 2026-11-23T09", "hour 2026-11-23T10", "2026-11-23T11:00Z to 2026-11-23T11:15Z"}
	if !slices.Equal(spans, want) || d.most != 1 {
		t.Errorf("chunks %v, %d at a time", spans, d.most)
	}
	if result.Chunks != 4 || result.Lake != 40 || result.Inserted != 4 || result.Restated != 8 || len(result.Minutes) != 4 || !result.SeenRebuilt {
		t.Errorf("result %+v", result)
	}
	if d.recorded != 4 || d.refilled != 1 || d.removed != 0 || len(d.staged) != 1 || d.staged[0].Before != window(t, "2026-11-23T11:15Z") {
		t.Errorf("%+v", d)
	}
}

func TestADryRunOfABackfillListsTheMinutesAndChangesNothing(t *testing.T) {
	d, in := &lakeDouble{}, morning(t)
	env := backfillEnvironment(t, d, time.Minute)
	in.DryRun = true
	env.ExecuteWorkflow(Backfill, in)
	result := backfilled(t, env)
	if result.Chunks != 4 || result.Missing != 4 || result.Inserted != 0 || result.SeenRebuilt || len(d.repaired)+d.refilled > 0 || len(d.staged) != 1 {
		t.Errorf("result %+v, %+v", result, d)
	}
	if len(result.Minutes) != 4 || result.Minutes[0] != (click.MinuteDelta{Minute: in.From, Lake: 10, Store: 9, Missing: 1}) {
		t.Errorf("minutes %+v", result.Minutes)
	}
}

func TestWhatIsNotArchivedIsStagedForTheChunksThatNeedItAndRemoved(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 5, 0, 0, time.UTC)
	d := &lakeDouble{tail: click.LakeTail{Objects: []click.LakeObject{{ClickedMin: at.Add(-6 * time.Minute), AppendedMin: at}}}}
	env := backfillEnvironment(t, d, time.Minute)
	env.ExecuteWorkflow(Backfill, morning(t))
	backfilled(t, env)
	var with []string
	for _, in := range d.begun {
		if in.Tail != nil {
			with = append(with, in.From.String())
		}
	}
	if want := []string{"2026-11-23T10:00Z", "2026-11-23T11:00Z"}; !slices.Equal(with, want) || d.removed != 1 {
		t.Errorf("the tail went to %v, it was removed %d times", with, d.removed)
	}
}

func TestAsManyChunksAsAllowedRunAtATime(t *testing.T) {
	d, in := &lakeDouble{}, morning(t)
	env := backfillEnvironment(t, d, time.Minute)
	in.From, in.Parallelism = window(t, "2026-11-23T00:00Z"), 3
	env.ExecuteWorkflow(Backfill, in)
	if result := backfilled(t, env); result.Chunks != 12 || d.most != 3 {
		t.Errorf("result %+v, %d at a time", result, d.most)
	}
}

func TestAPausedBackfillEndsWhatRunsAndBeginsNothing(t *testing.T) {
	d, in := &lakeDouble{}, morning(t)
	env := backfillEnvironment(t, d, time.Minute)
	in.From = window(t, "2026-11-23T00:00Z")
	env.RegisterDelayedCallback(func() { steer(t, env, PauseUpdate) }, 90*time.Second)
	env.RegisterDelayedCallback(func() {
		progress := progressOf(t, env)
		if progress.State != StatePaused || !progress.Paused || len(progress.Running) != 0 || progress.Done != 1 || progress.All != 12 || len(d.begun) != 1 {
			t.Errorf("progress %+v, begun %v", progress, d.begun)
		}
		steer(t, env, SetParallelismUpdate, SetParallelismInput{Parallelism: 4})
	}, 5*time.Hour)
	env.RegisterDelayedCallback(func() { steer(t, env, ResumeUpdate) }, 6*time.Hour)
	env.ExecuteWorkflow(Backfill, in)
	if result := backfilled(t, env); result.Chunks != 12 || d.most != 4 {
		t.Errorf("result %+v, %d at a time", result, d.most)
	}
	if progress := progressOf(t, env); progress.State != "done" || progress.Done != 12 {
		t.Errorf("progress %+v", progress)
	}
}

func TestAFailedChunkStopsNoOtherAndIsDoneAgainWhenAsked(t *testing.T) {
	hour := window(t, "2026-11-23T09:00Z")
	d := &lakeDouble{faults: map[click.Window]error{hour: temporal.NewNonRetryableApplicationError("an object is gone", activities.ErrorLakeIncomplete, nil)}}
	env := backfillEnvironment(t, d, time.Minute)
	var early answer
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(RetryFailedUpdate, "early", &early) }, 30*time.Second)
	env.RegisterDelayedCallback(func() {
		progress := progressOf(t, env)
		if progress.State != StateWaitsForRetry || progress.Done != 3 || len(progress.Failed) != 1 || progress.Failed[0].Reason != "hour 2026-11-23T09: an object is gone" {
			t.Errorf("progress %+v", progress)
		}
		delete(d.faults, hour)
		steer(t, env, RetryFailedUpdate)
	}, 30*time.Minute)
	env.ExecuteWorkflow(Backfill, morning(t))
	if result := backfilled(t, env); result.Chunks != 4 || result.Inserted != 4 || d.refilled != 2 {
		t.Errorf("result %+v, refilled %d times", result, d.refilled)
	}
	if early.rejected == nil {
		t.Error("retry-failed was accepted though nothing had failed")
	}
}

func TestABackfillWhoseChunksFailedNamesThem(t *testing.T) {
	gone := temporal.NewNonRetryableApplicationError("an object is gone", activities.ErrorLakeIncomplete, nil)
	d := &lakeDouble{faults: map[click.Window]error{window(t, "2026-11-23T09:00Z"): gone, window(t, "2026-11-23T11:00Z"): gone}}
	env := backfillEnvironment(t, d, time.Minute)
	began := env.Now()
	env.ExecuteWorkflow(Backfill, morning(t))
	err := env.GetWorkflowError()
	want := "2 of 4 chunks failed (hour 2026-11-23T09, 2026-11-23T11:00Z to 2026-11-23T11:15Z); the first because: hour 2026-11-23T09: an object is gone"
	if errorType(err) != ErrorChunksFailed || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	var failure *temporal.ApplicationError
	var result BackfillResult
	if !errors.As(err, &failure) || failure.Details(&result) != nil || result.Chunks != 2 {
		t.Errorf("details %+v", result)
	}
	if took := env.Now().Sub(began); took < retryWaitMax || took > 2*retryWaitMax {
		t.Errorf("it took %v", took)
	}
}

func TestACancelledBackfillEndsItsChunksAndTidiesUp(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 5, 0, 0, time.UTC)
	d := &lakeDouble{tail: click.LakeTail{Objects: []click.LakeObject{{ClickedMin: at, AppendedMin: at}}}}
	env := backfillEnvironment(t, d, time.Minute)
	env.RegisterDelayedCallback(env.CancelWorkflow, 90*time.Second)
	env.ExecuteWorkflow(Backfill, morning(t))
	if err := env.GetWorkflowError(); !temporal.IsCanceledError(err) {
		t.Error(err)
	}
	if progress := progressOf(t, env); progress.State != "cancelled" || progress.Done == 0 || progress.Done == 4 || len(progress.Running)+len(progress.Failed) != 0 || d.removed != 1 {
		t.Errorf("progress %+v, removed %d times", progress, d.removed)
	}
}

// continued runs a backfill over as many runs as it needs.
func continued(t *testing.T, in BackfillInput, prepare func(*testsuite.TestWorkflowEnvironment), d *lakeDouble) (BackfillResult, int) {
	t.Helper()
	for runs := 1; ; runs++ {
		env := backfillEnvironment(t, d, time.Minute)
		prepare(env)
		env.ExecuteWorkflow(Backfill, in)
		err := env.GetWorkflowError()
		var renewed *workflow.ContinueAsNewError
		if !errors.As(err, &renewed) {
			return backfilled(t, env), runs
		}
		in = BackfillInput{}
		if err := converter.GetDefaultDataConverter().FromPayloads(renewed.Input, &in); err != nil {
			t.Fatal(err)
		}
		if d.inFlight != 0 {
			t.Errorf("%d chunks were in flight", d.inFlight)
		}
	}
}

func TestABackfillContinuesAsNewWithAllItKnows(t *testing.T) {
	for name, prepare := range map[string]func(*testsuite.TestWorkflowEnvironment){
		"after some chunks":           func(*testsuite.TestWorkflowEnvironment) {},
		"when the server suggests it": func(env *testsuite.TestWorkflowEnvironment) { env.SetContinueAsNewSuggested(true) },
	} {
		t.Run(name, func(t *testing.T) {
			d, in, want := &lakeDouble{}, morning(t), 2
			if in.ChunksPerRun = 2; name != "after some chunks" {
				in.ChunksPerRun, want = 0, 4
			}
			result, runs := continued(t, in, prepare, d)
			if result.Chunks != 4 || result.Inserted != 4 || len(result.Minutes) != 4 || len(d.begun) != 4 || len(d.staged) != 1 || runs != want {
				t.Errorf("result %+v after %d runs, begun %v", result, runs, d.begun)
			}
		})
	}
}

func TestAChunkWaitsForAnotherReconciliationOfItsHour(t *testing.T) {
	d := &lakeDouble{}
	env := backfillEnvironment(t, d, time.Minute)
	hour := window(t, "2026-11-23T08:00Z")
	parent := func(ctx workflow.Context) (BackfillResult, error) {
		run := child(ctx, reconcileOptions(hour, "by hand"), ReconcileHour, ReconcileHourInput{Hour: hour})
		if err := run.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
			return BackfillResult{}, err
		}
		return Backfill(ctx, morning(t))
	}
	env.RegisterWorkflow(parent)
	env.ExecuteWorkflow(parent)
	if result := backfilled(t, env); result.Chunks != 4 || len(d.begun) != 5 {
		t.Errorf("result %+v, begun %v", result, d.begun)
	}
}

func TestABackfillRollsUpTheDaysThatAreDueAtItsEnd(t *testing.T) {
	day := rollupDay(t, "2026-11-22")
	for name, test := range map[string]struct {
		dryRun   bool
		unrolled error
		days     int
		failure  string
	}{
		"a day is due":       {days: 1},
		"a dry run":          {dryRun: true},
		"one that cannot be": {unrolled: activities.BadInput("the sums do not agree"), failure: "0 days were rolled up, 1 failed; the first: 2026-11-22: the sums do not agree"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &lakeDouble{due: []click.Day{day}, unrolled: test.unrolled}
			env := backfillEnvironment(t, d, time.Minute)
			in := morning(t)
			in.DryRun = test.dryRun
			env.ExecuteWorkflow(Backfill, in)
			result := backfilled(t, env)
			if result.Chunks != 4 || result.DaysRolledUp != test.days || !strings.Contains(result.RollupFailure, test.failure) || (test.failure == "") != (result.RollupFailure == "") {
				t.Errorf("result %+v", result)
			}
		})
	}
}

func TestTheSeenIndexIsNotRefilledForClicksThatAreNotStoredAnyMore(t *testing.T) {
	d := &lakeDouble{}
	env := backfillEnvironment(t, d, time.Minute)
	env.ExecuteWorkflow(Backfill, BackfillInput{From: window(t, "2026-09-23T08:00Z"), To: window(t, "2026-09-23T09:00Z")})
	if result := backfilled(t, env); result.SeenRebuilt || d.refilled > 0 || result.Chunks != 1 {
		t.Errorf("result %+v, refilled %d times", result, d.refilled)
	}
}

func TestARefillOfTheSeenIndexThatRunsAlreadyIsWaitedFor(t *testing.T) {
	d := &lakeDouble{}
	env := backfillEnvironment(t, d, 10*time.Minute)
	parent := func(ctx workflow.Context) (BackfillResult, error) {
		run := child(ctx, rebuildOptions(), RebuildSeen, RebuildSeenInput{Force: true})
		if err := run.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
			return BackfillResult{}, err
		}
		in := morning(t)
		in.To = window(t, "2026-11-23T08:31Z")
		return Backfill(ctx, in)
	}
	env.RegisterWorkflow(parent)
	env.ExecuteWorkflow(parent)
	if result := backfilled(t, env); !result.SeenRebuilt || d.refilled != 2 {
		t.Errorf("result %+v, refilled %d times", result, d.refilled)
	}
}

func TestATailIsStagedAnewAfterALongPause(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 5, 0, 0, time.UTC)
	d := &lakeDouble{tail: click.LakeTail{Objects: []click.LakeObject{{ClickedMin: at, AppendedMin: at}}}}
	env := backfillEnvironment(t, d, time.Minute)
	env.RegisterDelayedCallback(func() { steer(t, env, PauseUpdate) }, 30*time.Second)
	env.RegisterDelayedCallback(func() {
		d.tail = click.LakeTail{}
		steer(t, env, ResumeUpdate)
	}, 24*time.Hour)
	env.ExecuteWorkflow(Backfill, morning(t))
	backfilled(t, env)
	if len(d.staged) != 2 || d.begun[len(d.begun)-1].Tail != nil && len(d.begun[len(d.begun)-1].Tail.Objects) > 0 {
		t.Errorf("staged %v, the last chunk had %+v", d.staged, d.begun[len(d.begun)-1].Tail)
	}
}

func TestAResultListsTheEarliestMinutesAndHowManyMoreThereWere(t *testing.T) {
	b := &backfill{state: &BackfillState{}}
	for from := window(t, "2026-11-22T00:00Z"); from.Before(window(t, "2026-11-23T00:00Z")); from = click.HourEnd(from) {
		result := ReconcileHourResult{}
		for minute := from; minute.Before(click.HourEnd(from)); minute = minute.Next() {
			result.Before.Minutes = append(result.Before.Minutes, click.MinuteDelta{Minute: minute})
		}
		b.add(Chunk{from, click.HourEnd(from)}, result)
	}
	totals := b.state.Totals
	if len(totals.Minutes) != backfillMinutesMax || totals.MinutesLeftOut != 24*60-backfillMinutesMax || totals.Minutes[0].Minute != window(t, "2026-11-22T00:00Z") {
		t.Errorf("%d minutes, %d left out", len(totals.Minutes), totals.MinutesLeftOut)
	}
}

func TestABackfillRefusesBadInputInWords(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                              "no from given; the input is {",
		`{"from":"now"}`:                  `the input cannot be read: window "now" is not of the form`,
		`{"from":"2026-11-23T10:00:30Z"}`: "is not of the form",
		`{"form":"2026-11-23T10:00Z"}`:    `unknown field "form"`,
		`{"from":"2026-11-23T10:00Z","dry_run":"yes"}`: "the input cannot be read",
		`[]`: "the input cannot be read",
		`{"from":"2026-11-23T10:00Z","to":"2026-11-23T10:00Z"}`:                     "from 2026-11-23T10:00Z is not before to 2026-11-23T10:00Z",
		`{"from":"2026-11-23T10:00Z","to":"2026-11-23T09:00Z"}`:                     "is not before",
		`{"from":"2026-11-23T10:00Z","to":"2026-11-23T12:02Z"}`:                     "to 2026-11-23T12:02Z is in the future; the latest is 2026-11-23T12:01Z",
		`{"from":"2026-11-23T13:00Z"}`:                                              "is not before",
		`{"from":"2020-11-23T10:00Z","to":"2026-11-23T11:00Z"}`:                     "is longer than 400 days",
		`{"from":"2026-11-23T10:00Z","to":"2026-11-23T11:00Z","parallelism":5}`:     "parallelism 5 is not from 1 to 4",
		`{"from":"2026-11-23T10:00Z","to":"2026-11-23T11:00Z","parallelism":-1}`:    "parallelism -1 is not from 1 to 4",
		`{"from":"2026-11-23T10:00Z","to":"2026-11-23T11:00Z","chunks_per_run":-1}`: "chunks_per_run -1 is less than 0",
	} {
		var in BackfillInput
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Errorf("%s is refused by the library: %v", text, err)
		}
		if err := in.check(noon()); errorType(err) != activities.ErrorBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestABackfillWithoutEndGoesToTheEndOfTheOpenMinute(t *testing.T) {
	in := BackfillInput{From: window(t, "2026-11-23T10:00Z")}
	if err := in.check(noon()); err != nil || in.To != window(t, "2026-11-23T12:01Z") || in.Parallelism != 1 {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestARunThatIsHandedOnIsNotJudgedAgain(t *testing.T) {
	d, in := &lakeDouble{}, morning(t)
	in.Parallelism = 9 // it never was; a run that was accepted must not be refused later
	in.State = &BackfillState{Run: "run", Next: window(t, "2026-11-23T11:00Z"), Parallelism: 1, Tail: &click.LakeTail{}}
	env := backfillEnvironment(t, d, time.Minute)
	env.ExecuteWorkflow(Backfill, in)
	if result := backfilled(t, env); result.Chunks != 1 || len(d.staged) != 0 {
		t.Errorf("result %+v", result)
	}
}

func TestTheTableTellsOfEveryKindOfChunk(t *testing.T) {
	b := &backfill{in: morning(t), state: &BackfillState{
		Parallelism: 2, Totals: BackfillTotals{Chunks: 1, Lake: 10, Missing: 3},
		Failed: []FailedChunk{{Chunk{window(t, "2026-11-23T09:00Z"), window(t, "2026-11-23T10:00Z")}, "it | broke"}},
	}, running: []Chunk{{window(t, "2026-11-23T10:00Z"), window(t, "2026-11-23T11:00Z")}}}
	b.state.Recent = []BackfillRecent{{Chunk: Chunk{window(t, "2026-11-23T08:30Z"), window(t, "2026-11-23T09:00Z")}, State: click.ReconciledRepaired, Lake: 10, Missing: 3}}
	details := b.details("")
	for _, want := range []string{
		"1 of 4 chunks done (25 %), 1 failed, parallelism 2, **runs**", "| hour 2026-11-23T09 | **failed**: it / broke |",
		"| hour 2026-11-23T10 | runs: `reconcile/2026-11-23T10` |", "| 2026-11-23T08:30Z to 2026-11-23T09:00Z | REPAIRED | 10 | 3 | 0 | 0 |",
	} {
		if !strings.Contains(details, want) {
			t.Errorf("%q is not in\n%s", want, details)
		}
	}
}

func TestABackfillsInputSurvivesItsWayThroughTheServer(t *testing.T) {
	in := morning(t)
	in.State = &BackfillState{Run: "run", Next: in.From, Failed: []FailedChunk{{Chunk: Chunk{in.From, in.To}, Reason: "it"}}, Tail: &click.LakeTail{TopicID: "t"}}
	text, err := json.Marshal(in)
	var out BackfillInput
	if err = errors.Join(err, json.Unmarshal(text, &out)); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%s became %+v, %v", text, out, err)
	}
}
