package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
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

// noon is that of the day that the tests' hours are of.
func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC) }

// reconcileEnvironment is at noon.
func reconcileEnvironment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := newEnvironment(t)
	env.RegisterActivity(&activities.Reconcile{})
	env.RegisterActivity(&activities.Reconciliations{})
	env.RegisterActivity(&activities.Archive{})
	env.RegisterActivity(&activities.RebuildSeen{})
	env.SetStartTime(noon())
	return env
}

// differing is a comparison of an hour in two minutes of which the store is
// wrong.
func differing(t *testing.T, hour click.Window) click.Comparison {
	t.Helper()
	return click.Comparison{
		Lake: 1000, Store: 995, Figures: 995, Missing: 7, Surplus: 2, Places: 4,
		Minutes: []click.MinuteDelta{{Minute: hour, Lake: 10, Store: 3, Missing: 7}, {Minute: hour.Next(), Lake: 10, Store: 12, Surplus: 2}},
	}
}

// ledgerDouble is a store and a lake that differ until they are repaired.
type ledgerDouble struct {
	mu     sync.Mutex // activities run beside each other
	before click.Comparison
	// afters are what later comparisons find, in turn; with none left, nothing.
	afters []click.Comparison

	fixed    []activities.FixLakeInput
	compared []activities.CompareLakeInput
	repaired []activities.RepairClicksInput
	flushed  []activities.FlushSpanInput
	recorded []click.Reconciliation
}

func (d *ledgerDouble) on(env *testsuite.TestWorkflowEnvironment, takes time.Duration) {
	env.OnActivity(reconcile.FixLake, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.FixLakeInput) (activities.FixLakeResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.fixed = append(d.fixed, in)
			return activities.FixLakeResult{Snapshot: click.LakeSnapshot{From: in.From, To: in.To, Version: uint64(len(d.fixed)), Tail: in.Tail}}, nil
		})
	env.OnActivity(reconcile.CompareLake, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.CompareLakeInput) (activities.CompareLakeResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.compared = append(d.compared, in)
			if in.Pass == 1 {
				return activities.CompareLakeResult{Comparison: d.before}, nil
			}
			if len(d.afters) == 0 {
				return activities.CompareLakeResult{Comparison: click.Comparison{Lake: 1000, Store: 1000, Figures: 1000}}, nil
			}
			after := d.afters[0]
			d.afters = d.afters[1:]
			return activities.CompareLakeResult{Comparison: after}, nil
		})
	env.OnActivity(reconcile.RepairClicks, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.RepairClicksInput) (activities.RepairClicksResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.repaired = append(d.repaired, in)
			return activities.RepairClicksResult{Inserted: 7, Deleted: 2}, nil
		}).After(takes)
	env.OnActivity(reconcile.FlushSpan, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.FlushSpanInput) (activities.FlushSpanResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.flushed = append(d.flushed, in)
			return activities.FlushSpanResult{Minutes: len(in.Minutes), Restated: 3}, nil
		})
	d.onRecord(env)
}

func (d *ledgerDouble) onRecord(env *testsuite.TestWorkflowEnvironment) {
	env.OnActivity(reconciliations.RecordReconciliation, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.RecordReconciliationInput) (activities.RecordReconciliationResult, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.recorded = append(d.recorded, in.Reconciliation)
			return activities.RecordReconciliationResult{}, nil
		})
}

// states are what was recorded, in order.
func (d *ledgerDouble) states() []click.ReconciliationState {
	var states []click.ReconciliationState
	for i := range d.recorded {
		states = append(states, d.recorded[i].State)
	}
	return states
}

func (d *ledgerDouble) last(t *testing.T) click.Reconciliation {
	t.Helper()
	if len(d.recorded) == 0 {
		t.Fatal("nothing was recorded")
	}
	return d.recorded[len(d.recorded)-1]
}

func reconciled(t *testing.T, env *testsuite.TestWorkflowEnvironment) ReconcileHourResult {
	t.Helper()
	var result ReconcileHourResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAnHourThatAgreesIsRecordedAndLeftAlone(t *testing.T) {
	env, d, hour := reconcileEnvironment(t), &ledgerDouble{before: click.Comparison{Lake: 10, Store: 10, Figures: 10}}, window(t, "2026-11-23T10:00Z")
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if result := reconciled(t, env); result.State != click.ReconciledClean || len(d.repaired)+len(d.flushed) > 0 {
		t.Errorf("result %+v, repaired %v, flushed %v", result, d.repaired, d.flushed)
	}
	told := d.last(t)
	if told.State != click.ReconciledClean || told.Run == "" || told.From != hour || told.To != click.HourEnd(hour) || told.Snapshot.Version != 1 || told.Before.Lake != 10 {
		t.Errorf("recorded %+v", told)
	}
}

func TestWhatDiffersIsRepairedFlushedAndLookedAtAgain(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	d := &ledgerDouble{before: differing(t, hour)}
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	result := reconciled(t, env)
	if result.State != click.ReconciledRepaired || result.Inserted != 7 || result.Deleted != 2 || result.Restated != 3 || !result.After.Agrees() {
		t.Errorf("result %+v", result)
	}
	run := d.last(t).Run
	if want := []activities.RepairClicksInput{{Snapshot: click.LakeSnapshot{From: hour, To: click.HourEnd(hour), Version: 1}}}; !reflect.DeepEqual(d.repaired, want) {
		t.Errorf("repaired %+v", d.repaired)
	}
	flushed := activities.FlushSpanInput{From: hour, To: click.HourEnd(hour), Minutes: []click.Window{hour, hour.Next()}, Reason: click.RepairFlush}
	if !reflect.DeepEqual(d.flushed, []activities.FlushSpanInput{flushed}) {
		t.Errorf("flushed %+v", d.flushed)
	}
	if len(d.compared) != 2 || d.compared[0].Run != run || d.compared[0].Snapshot.Version != 1 || d.compared[1].Run != "" || d.compared[1].Snapshot.Version != 2 {
		t.Errorf("compared %+v", d.compared)
	}
	if told := d.last(t); told.After == nil || told.Snapshot.Version != 2 || told.Inserted != 7 || told.Restated != 3 {
		t.Errorf("recorded %+v", told)
	}
}

func TestADryRunOnlyLooks(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	d := &ledgerDouble{before: differing(t, hour)}
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{From: hour.Next(), To: window(t, "2026-11-23T10:10Z"), DryRun: true})
	result := reconciled(t, env)
	if result.State != click.ReconciledDiffers || len(d.repaired)+len(d.flushed) > 0 || len(result.Before.Minutes) != 2 {
		t.Errorf("result %+v, repaired %v, flushed %v", result, d.repaired, d.flushed)
	}
	if told := d.last(t); !told.DryRun || told.State != click.ReconciledDiffers || told.From != hour.Next() {
		t.Errorf("recorded %+v", told)
	}
}

func TestABackfillRepairsWithoutLimitAndFlushesEveryMinute(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	d := &ledgerDouble{before: click.Comparison{Lake: 1_000_000, Missing: 1_000_000, Places: 9, Minutes: []click.MinuteDelta{{Minute: hour}}}}
	d.on(env, 0)
	tail := &click.LakeTail{TopicID: "topic", Objects: []click.LakeObject{{Path: "object"}}}
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour, Unlimited: true, Tail: tail})
	if result := reconciled(t, env); result.State != click.ReconciledRepaired {
		t.Errorf("result %+v", result)
	}
	want := activities.FlushSpanInput{From: hour, To: click.HourEnd(hour), Reason: click.BackfillFlush}
	if !reflect.DeepEqual(d.flushed, []activities.FlushSpanInput{want}) || !d.repaired[0].Empty || d.fixed[1].Tail == nil {
		t.Errorf("flushed %+v, repaired %+v, fixed %+v", d.flushed, d.repaired, d.fixed)
	}
}

func TestARefusedLakeIsNamedAndNothingIsTouched(t *testing.T) {
	env, d := reconcileEnvironment(t), &ledgerDouble{}
	env.OnActivity(reconcile.FixLake, mock.Anything, mock.Anything).Return(activities.FixLakeResult{},
		temporal.NewNonRetryableApplicationError("object clicks/x.parquet of manifest 2026-11-23T10:05Z is not there", activities.ErrorLakeIncomplete, nil))
	d.onRecord(env)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: window(t, "2026-11-23T10:00Z")})
	err := env.GetWorkflowError()
	if errorType(err) != activities.ErrorLakeIncomplete || !strings.Contains(err.Error(), "hour 2026-11-23T10: object clicks/x.parquet of manifest") {
		t.Error(err)
	}
	if told := d.last(t); told.State != click.ReconciledRefused || !strings.HasPrefix(told.Reason, "object clicks/x.parquet") || len(d.recorded) != 1 {
		t.Errorf("recorded %+v", d.recorded)
	}
}

// answer is a callback of an Update that notes what became of it.
type answer struct {
	rejected error
	result   any
	failed   error
}

func (a *answer) Accept()                   {}
func (a *answer) Reject(err error)          { a.rejected = err }
func (a *answer) Complete(r any, err error) { a.result, a.failed = r, err }

// asking is an hour that needs approval.
func asking(t *testing.T, env *testsuite.TestWorkflowEnvironment) (*ledgerDouble, ReconcileHourInput) {
	t.Helper()
	hour, none := window(t, "2026-11-23T10:00Z"), uint64(0)
	d := &ledgerDouble{before: differing(t, hour)}
	d.on(env, time.Minute)
	return d, ReconcileHourInput{Hour: hour, RepairLimitClicks: &none}
}

func TestARepairBeyondTheLimitWaitsUntilItIsApproved(t *testing.T) {
	env := reconcileEnvironment(t)
	d, in := asking(t, env)
	var approved, late answer
	env.RegisterDelayedCallback(func() {
		if len(d.repaired) > 0 || d.last(t).State != click.ReconciledDiffers || !strings.Contains(d.last(t).Reason, "waits for approve-repair: 7 clicks to insert and 2 to delete") {
			t.Errorf("repaired %v, recorded %+v", d.repaired, d.recorded)
		}
		env.UpdateWorkflow(ApproveRepairUpdate, "1", &approved, DecisionInput{Note: "seen"})
		env.UpdateWorkflow(DeclineRepairUpdate, "2", &late, DecisionInput{})
	}, 5*time.Hour)
	env.ExecuteWorkflow(ReconcileHour, in)
	if result := reconciled(t, env); result.State != click.ReconciledRepaired || len(d.repaired) != 1 {
		t.Errorf("result %+v", result)
	}
	if approved.failed != nil || !reflect.DeepEqual(approved.result, DecisionResult{Missing: 7, Surplus: 2}) || late.rejected == nil {
		t.Errorf("answers %+v, %+v", approved, late)
	}
	if want := []click.ReconciliationState{click.ReconciledDiffers, click.ReconciledRepaired}; !reflect.DeepEqual(d.states(), want) {
		t.Errorf("recorded %v", d.states())
	}
}

func TestADeclinedRepairIsNotDone(t *testing.T) {
	env := reconcileEnvironment(t)
	d, in := asking(t, env)
	var declined answer
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(DeclineRepairUpdate, "1", &declined, DecisionInput{Note: "a test"}) }, time.Hour)
	env.ExecuteWorkflow(ReconcileHour, in)
	if result := reconciled(t, env); result.State != click.ReconciledDiffers || result.Reason != "the repair was declined: a test" || len(d.repaired) > 0 || d.last(t).Reason != result.Reason {
		t.Errorf("result %+v, recorded %+v", result, d.recorded)
	}
}

func TestARepairThatNobodyAnswersForFailsAfterAWeek(t *testing.T) {
	env := reconcileEnvironment(t)
	d, in := asking(t, env)
	began := env.Now()
	env.ExecuteWorkflow(ReconcileHour, in)
	err := env.GetWorkflowError()
	if errorType(err) != ErrorUnanswered || !strings.Contains(err.Error(), "nobody approved") || len(d.repaired) > 0 || d.last(t).State != click.ReconciledDiffers {
		t.Errorf("%v, recorded %+v", err, d.recorded)
	}
	if took := env.Now().Sub(began); took < approvalWaitMax || took > reconcileTimeout {
		t.Errorf("it took %v", took)
	}
}

func TestACancelledQuestionIsRecorded(t *testing.T) {
	env := reconcileEnvironment(t)
	d, in := asking(t, env)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(ReconcileHour, in)
	if err := env.GetWorkflowError(); !temporal.IsCanceledError(err) || len(d.repaired) > 0 || !strings.HasPrefix(d.last(t).Reason, "cancelled") {
		t.Errorf("%v, recorded %+v", err, d.recorded)
	}
}

func TestARepairIsCarriedThroughThoughItIsCancelled(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	d := &ledgerDouble{before: differing(t, hour)}
	d.on(env, time.Minute)
	env.RegisterDelayedCallback(env.CancelWorkflow, 30*time.Second)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if result := reconciled(t, env); result.State != click.ReconciledRepaired || len(d.flushed) != 1 {
		t.Errorf("result %+v, flushed %v", result, d.flushed)
	}
}

func TestWhatStillDiffersAfterTheRepairIsAFailureAndRecorded(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	left := click.Comparison{Lake: 1000, Store: 999, Missing: 1, Places: 1}
	d := &ledgerDouble{before: differing(t, hour), afters: []click.Comparison{left, left}}
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if err := env.GetWorkflowError(); errorType(err) != ErrorDiffers || !strings.Contains(err.Error(), "1 clicks are missing") {
		t.Error(err)
	}
	told := d.last(t)
	last := d.compared[len(d.compared)-1]
	if told.State != click.ReconciledDiffers || told.After == nil || told.After.Places != 1 || last.Run != told.Run || last.Pass != 2 || len(d.repaired) != 1 {
		t.Errorf("recorded %+v, compared %+v", told, d.compared)
	}
}

func TestAFigureThatFellBehindMeanwhileIsFlushedAgain(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	late := click.Comparison{Lake: 1001, Store: 1001, Figures: 1000, Places: 1, WrongFigures: 1, Minutes: []click.MinuteDelta{{Minute: hour.Next()}}}
	d := &ledgerDouble{before: differing(t, hour), afters: []click.Comparison{late}}
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if result := reconciled(t, env); result.State != click.ReconciledRepaired || len(d.flushed) != 2 || !reflect.DeepEqual(d.flushed[1].Minutes, []click.Window{hour.Next()}) || len(d.repaired) != 1 {
		t.Errorf("result %+v, flushed %+v", result, d.flushed)
	}
}

func TestFiguresThatStayWrongAreAFailure(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	wrong := click.Comparison{Lake: 1001, Store: 1001, Figures: 1000, Places: 1, WrongFigures: 1, Minutes: []click.MinuteDelta{{Minute: hour}}}
	d := &ledgerDouble{before: wrong, afters: []click.Comparison{wrong, wrong, wrong, wrong}}
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if err := env.GetWorkflowError(); errorType(err) != ErrorDiffers || len(d.repaired) > 0 || len(d.flushed) != verifyRoundsMax || d.compared[len(d.compared)-1].Run == "" {
		t.Errorf("%v, flushed %v, compared %+v", err, d.flushed, d.compared)
	}
}

func TestASpanOlderThanTheRawClicksHasItsFiguresRebuiltFromTheLake(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-09-23T10:00Z")
	snapshot := click.LakeSnapshot{From: hour, To: click.HourEnd(hour), FiguresOnly: true, Version: 1}
	env.OnActivity(reconcile.FixLake, mock.Anything, mock.Anything).Return(activities.FixLakeResult{Snapshot: snapshot}, nil)
	env.OnActivity(reconcile.RebuildFigures, mock.Anything, activities.RebuildFiguresInput{Snapshot: snapshot, Reason: click.BackfillFlush}).
		Return(activities.FlushSpanResult{Minutes: 60, Restated: 4}, nil).Once()
	d := &ledgerDouble{before: click.Comparison{Lake: 10, Figures: 7, Places: 2, WrongFigures: 2, Minutes: []click.MinuteDelta{{Minute: hour, Lake: 10, Figures: 7}}}}
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour, Unlimited: true})
	if result := reconciled(t, env); result.State != click.ReconciledRepaired || result.Restated != 4 || len(d.repaired)+len(d.flushed) > 0 {
		t.Errorf("result %+v, repaired %v, flushed %v", result, d.repaired, d.flushed)
	}
}

// What a backfill finds empty is told of by the repair: the lake is read once.
func TestABackfillOfAnEmptySpanIsToldOfByItsRepair(t *testing.T) {
	for _, clicks := range []uint64{1000, 0} {
		env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
		brought := click.Comparison{Lake: clicks, Missing: clicks, Places: clicks / 10}
		env.OnActivity(reconcile.RepairClicks, mock.Anything, mock.Anything).Return(
			func(_ context.Context, in activities.RepairClicksInput) (activities.RepairClicksResult, error) {
				if !in.Empty || in.Run == "" {
					t.Errorf("the repair's input is %+v", in)
				}
				return activities.RepairClicksResult{Inserted: clicks, Brought: &brought}, nil
			}).Once()
		d := &ledgerDouble{before: click.Comparison{Uncounted: true}}
		d.on(env, 0)
		env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour, Unlimited: true})
		want := click.ReconciledRepaired
		if clicks == 0 {
			want = click.ReconciledClean
		}
		result := reconciled(t, env)
		if result.State != want || !reflect.DeepEqual(result.Before, brought) || result.Inserted != clicks || len(d.flushed) != 1 || len(d.flushed[0].Minutes) > 0 {
			t.Errorf("%d clicks: result %+v, flushed %+v", clicks, result, d.flushed)
		}
		if len(d.compared) != 2 || !d.compared[0].Quick || d.compared[1].Quick {
			t.Errorf("compared %+v", d.compared)
		}
	}
}

func TestARepairThatCannotBeFinishedIsRecorded(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	d := &ledgerDouble{before: differing(t, hour)}
	env.OnActivity(reconcile.RepairClicks, mock.Anything, mock.Anything).Return(activities.RepairClicksResult{},
		temporal.NewNonRetryableApplicationError("the store is full", "Full", nil))
	d.on(env, 0)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if err := env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "the store is full") || d.last(t).Reason != "the repair was not finished: the store is full" {
		t.Errorf("%v, recorded %+v", err, d.recorded)
	}
}

func TestNothingCanBeApprovedThatDoesNotWait(t *testing.T) {
	env, hour := reconcileEnvironment(t), window(t, "2026-11-23T10:00Z")
	d := &ledgerDouble{before: differing(t, hour)}
	d.on(env, time.Minute)
	var early answer
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(ApproveRepairUpdate, "1", &early) }, 30*time.Second)
	env.ExecuteWorkflow(ReconcileHour, ReconcileHourInput{Hour: hour})
	if reconciled(t, env); early.rejected == nil || early.rejected.Error() != "nothing waits to be approved" {
		t.Errorf("answer %+v", early)
	}
}

func TestAReconciliationRefusesBadInputInWords(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                           "no hour given; the input is {",
		`{"hour":"2026-11-23T10:05Z"}`: "no hour begins at 2026-11-23T10:05Z",
		`{"hour":"yesterday"}`:         `the input cannot be read: window "yesterday" is not of the form`,
		`{"hour":"2026-11-23T10:00Z","dryrun":true}`: `unknown field "dryrun"`,
		`"2026-11-23T10:00Z"`:                        "the input cannot be read",
		`{"hour":"2026-11-24T10:00Z"}`:               "2026-11-24T10:00Z is in the future",
		`{"hour":"2026-11-23T10:00Z","from":"2026-11-23T10:05Z","to":"2026-11-23T10:05Z"}`: "is not before",
		`{"hour":"2026-11-23T10:00Z","to":"2026-11-23T11:05Z"}`:                            "is not within the hour",
		`{"hour":"2026-11-23T10:00Z","from":"2026-11-23T09:05Z"}`:                          "is not within the hour",
		`{"from":"2026-11-23T10:05Z"}`:                                                     "no hour given",
		`{"hour":"2026-11-23T10:00Z","repair_limit_share":2}`:                              "repair_limit_share 2 is not from 0 to 1",
	} {
		var in ReconcileHourInput
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Errorf("%s is refused by the library: %v", text, err)
		}
		if _, _, err := in.span(noon()); errorType(err) != activities.ErrorBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestALimitThatIsGivenIsTheWholeLimit(t *testing.T) {
	clicks, share := uint64(5), 0.5
	for _, one := range []struct {
		in   ReconcileHourInput
		want click.RepairLimit
	}{
		{ReconcileHourInput{}, click.DefaultRepairLimit},
		{ReconcileHourInput{RepairLimitClicks: &clicks}, click.RepairLimit{Clicks: 5}},
		{ReconcileHourInput{RepairLimitShare: &share}, click.RepairLimit{Share: 0.5}},
	} {
		if got := one.in.limit(); got != one.want {
			t.Errorf("limit %+v, want %+v", got, one.want)
		}
	}
}

func TestAnInputSurvivesItsWayThroughTheServer(t *testing.T) {
	clicks := uint64(5)
	in := ReconcileHourInput{Hour: window(t, "2026-11-23T10:00Z"), RepairLimitClicks: &clicks, Tail: &click.LakeTail{TopicID: "topic", First: click.Offsets{1}}}
	text, err := json.Marshal(in)
	var out ReconcileHourInput
	if err = errors.Join(err, json.Unmarshal(text, &out)); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%s became %+v, %v", text, out, err)
	}
}

func TestTheQuestionTellsWhatIsAskedAndHow(t *testing.T) {
	r := &reconciliation{account: click.Reconciliation{
		From: window(t, "2026-11-23T10:05Z"), To: window(t, "2026-11-23T10:10Z"), Before: differing(t, window(t, "2026-11-23T10:05Z")),
		Snapshot: click.LakeSnapshot{Version: 1},
	}}
	details := r.details(r.question(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)))
	for _, want := range []string{
		"2026-11-23T10:05Z to 2026-11-23T10:10Z", "until 2026-11-30T12:00:00Z", "7 clicks are inserted and 2 deleted",
		"temporal workflow update execute --workflow-id reconcile/2026-11-23T10 --name approve-repair",
		"| before | 1000 | 995 | 995 | 7 | 2 | 4 |", "| 2026-11-23T10:06Z | 10 | 12 | 0 | 0 | 2 |",
	} {
		if !strings.Contains(details, want) {
			t.Errorf("%q is not in\n%s", want, details)
		}
	}
}
