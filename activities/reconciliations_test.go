package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/internal/click"
)

// reconcileRig is a stream of one partition whose record number n is appended
// in minute n of the ledger's first hour, a lake, and what was told.
type reconcileRig struct {
	*Reconciliations
	env *testsuite.TestActivityEnvironment

	start     click.Window
	now       time.Time
	topic     string
	committed int64
	manifests map[click.Window]click.Manifest
	spans     []click.ReconciledSpan
	told      []click.ToldReconciliation
	reports   map[string]string
	reads     int // manifests
	away      error
}

func newReconcileRig(t *testing.T) *reconcileRig {
	t.Helper()
	r := &reconcileRig{
		start: minuteOf(t, "2026-11-23T10:17Z"), topic: "topic", committed: 1 << 40,
		manifests: map[click.Window]click.Manifest{}, reports: map[string]string{},
	}
	r.Reconciliations = &Reconciliations{Stream: r, Lake: r, Record: r, Lateness: 10 * time.Second, Now: func() time.Time { return r.now }}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	r.env = suite.NewTestActivityEnvironment()
	r.env.RegisterActivity(r.Reconciliations)
	return r
}

func minuteOf(t *testing.T, text string) click.Window {
	t.Helper()
	w, err := click.ParseWindow(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (r *reconcileRig) Progress(_ context.Context, notBefore time.Time) (string, []click.PartitionProgress, error) {
	return r.topic, []click.PartitionProgress{{Committed: r.committed, Required: r.offsetAt(notBefore)}}, nil
}

// offsetAt is the first offset appended at a time or later.
func (r *reconcileRig) offsetAt(at time.Time) int64 {
	return int64((at.Sub(click.HourOf(r.start.Start()).Start()) + time.Minute - 1) / time.Minute)
}

func (r *reconcileRig) Manifest(_ context.Context, w click.Window) (click.Manifest, error) {
	r.reads++
	m, ok := r.manifests[w]
	if !ok {
		return m, click.ErrNotFound
	}
	return m, r.away
}

func (r *reconcileRig) LastManifest(context.Context) (click.Manifest, error) {
	var last click.Manifest
	for w, m := range r.manifests {
		if last.Window.Before(w) {
			last = m
		}
	}
	if last.TopicID == "" {
		return last, click.ErrNotFound
	}
	return last, nil
}

func (r *reconcileRig) ManifestsOf(_ context.Context, day time.Time) ([]click.Window, error) {
	var windows []click.Window
	for w := range r.manifests {
		if w.Start().Truncate(24 * time.Hour).Equal(day) {
			windows = append(windows, w)
		}
	}
	return windows, nil
}

func (r *reconcileRig) PutReport(_ context.Context, path string, json []byte) error {
	r.reports[path] = string(json)
	return nil
}

func (r *reconcileRig) Reconciled(context.Context) (click.Reconciled, error) {
	return click.NewReconciled(r.start, r.spans), nil
}

func (r *reconcileRig) RecordReconciliation(_ context.Context, told click.ToldReconciliation) error {
	r.told = append(r.told, told)
	return nil
}

// at sets the clock, and archives everything up to then.
func (r *reconcileRig) at(t *testing.T, text string) {
	t.Helper()
	r.now = minuteOf(t, text).Start()
	for w := click.ArchiveWindowOf(r.start.Start()); !click.ArchiveEnd(w).Add(archiveMargin).After(r.now); w = click.NextArchive(w) {
		if _, ok := r.manifests[w]; !ok {
			r.archive(w, w.Start(), click.ArchiveEnd(w).Add(-time.Second))
		}
	}
}

// archive makes a manifest of a window with clicks of these times in it.
func (r *reconcileRig) archive(w click.Window, clickedMin, clickedMax time.Time) {
	object := click.LakeObject{ClickedMin: clickedMin, ClickedMax: clickedMax}
	span := click.OffsetSpan{First: r.offsetAt(w.Start()), Next: r.offsetAt(click.ArchiveEnd(w))}
	r.manifests[w] = click.Manifest{TopicID: "topic", Window: w, End: click.ArchiveEnd(w), Ranges: []click.ArchivedRange{{
		PartitionRange: click.PartitionRange{OffsetSpan: span}, Objects: []click.LakeObject{object},
	}}}
}

// tell is a reconciliation of the hour that begins with text, told now, of all
// that is archived.
func (r *reconcileRig) tell(t *testing.T, text string, state click.ReconciliationState) {
	t.Helper()
	last, err := r.LastManifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hour := minuteOf(t, text)
	r.spans = append(r.spans, click.ReconciledSpan{From: hour, To: click.HourEnd(hour), State: state, At: r.now, Through: last.Window})
}

func (r *reconcileRig) plan(t *testing.T, limit int) PlanReconciliationsResult {
	t.Helper()
	value, err := r.env.ExecuteActivity(r.PlanReconciliations, PlanReconciliationsInput{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	var plan PlanReconciliationsResult
	if err := value.Get(&plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

// want plans and compares the hours, as 10 11 12 of the day, and the waiting.
func (r *reconcileRig) want(t *testing.T, what, hours, waiting string) {
	t.Helper()
	plan := r.plan(t, 100)
	var got []string
	for _, hour := range plan.Due {
		got = append(got, hour.Start().Format("15"))
	}
	if strings.Join(got, " ") != hours || !strings.Contains(plan.Waiting, waiting) || (waiting == "") != (plan.Waiting == "") || plan.More {
		t.Errorf("%s: due are %v, waiting %q; want %s, %q", what, got, plan.Waiting, hours, waiting)
	}
}

func TestAnHourIsDueOnceLakeAndIngesterHavePassedItsEnd(t *testing.T) {
	r := newReconcileRig(t)
	r.now = minuteOf(t, "2026-11-23T10:59Z").Start()
	r.want(t, "it is not over", "", "")
	r.now = minuteOf(t, "2026-11-23T11:01Z").Start()
	r.want(t, "there is no lake", "", "hour 2026-11-23T10 waits for the lake: nothing is archived yet")
	r.at(t, "2026-11-23T11:05Z") // the window of 11:00 is not archived yet
	r.want(t, "a click of 11:00:05 may still be on its way", "", "hour 2026-11-23T10 waits for the lake: partition 0 is archived to offset 60 of 61")
	r.at(t, "2026-11-23T11:06Z")
	r.want(t, "all is there", "10", "")
	r.committed = 60
	r.want(t, "the ingester is behind", "", "hour 2026-11-23T10 waits for the ingester: partition 0")
	r.committed = 61
	r.want(t, "the ingester has passed it", "10", "")
	r.at(t, "2026-11-23T13:06Z")
	r.want(t, "later hours wait", "10", "hour 2026-11-23T11 waits for the ingester")
	r.committed = 1 << 40
	r.want(t, "after an outage", "10 11 12", "")
	if plan := r.plan(t, 2); !plan.More || len(plan.Due) != 2 || plan.Due[0] != minuteOf(t, "2026-11-23T10:00Z") {
		t.Errorf("two at most: %+v", plan)
	}
}

func TestWhatIsDoneIsDueAgainWhenClicksOfItAreArchived(t *testing.T) {
	r := newReconcileRig(t)
	r.at(t, "2026-11-23T13:06Z")
	for _, hour := range []string{"10", "11", "12"} {
		r.tell(t, "2026-11-23T"+hour+":00Z", click.ReconciledClean)
	}
	r.want(t, "all is done", "", "")
	// A journal is drained: clicks of 11:40 come with those of now.
	r.archive(minuteOf(t, "2026-11-23T13:10Z"), minuteOf(t, "2026-11-23T11:40Z").Start(), minuteOf(t, "2026-11-23T12:02Z").Start())
	r.now = r.now.Add(10 * time.Minute)
	r.want(t, "late clicks of 11 and 12", "11 12", "")
	reads := r.reads
	r.want(t, "again", "11 12", "")
	if r.reads != reads {
		t.Errorf("%d manifests were read again", r.reads-reads)
	}
	r.tell(t, "2026-11-23T11:00Z", click.ReconciledRepaired)
	r.want(t, "11 was reconciled again", "12", "")
	r.tell(t, "2026-11-23T12:00Z", click.ReconciledClean)
	r.want(t, "both were", "", "")
}

func TestALakeThatCannotBeReadHidesNoLateClicks(t *testing.T) {
	r := newReconcileRig(t)
	r.at(t, "2026-11-23T12:06Z")
	r.tell(t, "2026-11-23T10:00Z", click.ReconciledClean)
	r.archive(minuteOf(t, "2026-11-23T12:05Z"), minuteOf(t, "2026-11-23T10:40Z").Start(), minuteOf(t, "2026-11-23T10:41Z").Start())
	r.away = click.ErrUnavailable
	if _, err := r.env.ExecuteActivity(r.PlanReconciliations, PlanReconciliationsInput{Limit: 5}); err == nil {
		t.Error("a plan without the lake")
	}
	r.away = nil
	r.want(t, "it is back", "10 11", "")
	r = newReconcileRig(t)
	r.at(t, "2026-11-23T12:06Z")
	r.tell(t, "2026-11-23T10:00Z", click.ReconciledClean)
	r.archive(minuteOf(t, "2026-11-23T12:05Z"), r.now, r.now)
	r.away = errors.New("it makes no sense")
	r.want(t, "other hours are planned nevertheless", "11", "")
}

func TestWhatIsOpenIsTriedAgainLastAndNotAtOnce(t *testing.T) {
	r := newReconcileRig(t)
	r.at(t, "2026-11-23T13:06Z")
	r.tell(t, "2026-11-23T11:00Z", click.ReconciledDiffers)
	r.now = r.now.Add(time.Minute)
	r.tell(t, "2026-11-23T10:00Z", click.ReconciledRefused)
	r.want(t, "at once", "12", "")
	r.now = r.now.Add(reconcileAgainAfter)
	r.want(t, "later", "12 11 10", "")
	r.tell(t, "2026-11-23T11:00Z", click.ReconciledRepaired)
	r.want(t, "one is mended", "12 10", "")
}

func TestPartsOfAnHourAreNoHour(t *testing.T) {
	r := newReconcileRig(t)
	r.at(t, "2026-11-23T11:06Z")
	r.tell(t, "2026-11-23T10:00Z", click.ReconciledClean)
	r.spans[0].From, r.spans[0].To = minuteOf(t, "2026-11-23T10:20Z"), minuteOf(t, "2026-11-23T11:00Z")
	r.want(t, "three minutes are missing", "10", "")
	r.spans[0].From = r.start
	r.want(t, "the ledger's part of it", "", "")
}

func TestHoursBeforeTheLedgerAndTheRawClicksAreABackfills(t *testing.T) {
	r := newReconcileRig(t)
	r.at(t, "2026-11-23T11:06Z")
	r.tell(t, "2026-11-23T07:00Z", click.ReconciledClean)
	r.tell(t, "2026-11-23T08:00Z", click.ReconciledClean)
	r.spans[1].From = minuteOf(t, "2026-11-23T08:30Z")
	r.want(t, "a backfill was there", "10", "")
	r.archive(minuteOf(t, "2026-11-23T11:05Z"), minuteOf(t, "2026-11-23T07:59Z").Start(), minuteOf(t, "2026-11-23T09:01Z").Start())
	r.now = r.now.Add(5 * time.Minute)
	r.want(t, "late clicks of 07 to 09", "07 10", "")
	r.now = r.now.Add(click.RawRetention)
	if plan := r.plan(t, 1); slices.Contains(plan.Due, minuteOf(t, "2026-11-23T10:00Z")) {
		t.Errorf("raw clicks are gone: %+v", plan)
	}
}

func TestAnotherTopicIsNotCompared(t *testing.T) {
	r := newReconcileRig(t)
	r.at(t, "2026-11-23T11:06Z")
	r.topic = "another"
	_, err := r.env.ExecuteActivity(r.PlanReconciliations, PlanReconciliationsInput{Limit: 5})
	var said *temporal.ApplicationError
	if !errors.As(err, &said) || said.Type() != ErrorOtherTopic || !said.NonRetryable() {
		t.Errorf("it said %v", err)
	}
}

func TestARunsReportAndItsRowSayTheSame(t *testing.T) {
	r := newReconcileRig(t)
	hour := minuteOf(t, "2026-11-23T10:00Z")
	report := click.Reconciliation{Run: "run-1", From: hour, To: click.HourEnd(hour), State: click.ReconciledRepaired, Inserted: 7}
	for range 2 {
		if _, err := r.env.ExecuteActivity(r.Reconciliations.RecordReconciliation, RecordReconciliationInput{report}); err != nil {
			t.Fatal(err)
		}
	}
	var kept click.Reconciliation
	if err := json.Unmarshal([]byte(r.reports["reports/reconcile/dt=2026-11-23/hour=10/run-1.json"]), &kept); err != nil || fmt.Sprint(kept) != fmt.Sprint(report) {
		t.Errorf("kept %+v, %v", kept, err)
	}
	if len(r.reports) != 1 || len(r.told) != 2 || fmt.Sprint(r.told[0].Reconciliation) != fmt.Sprint(report) || r.told[0].At.IsZero() {
		t.Errorf("told %+v", r.told)
	}
	for name, change := range map[string]func(*click.Reconciliation){
		"no run":       func(r *click.Reconciliation) { r.Run = "" },
		"no state":     func(r *click.Reconciliation) { r.State = "FINE" },
		"no minutes":   func(r *click.Reconciliation) { r.To = r.From },
		"of two hours": func(r *click.Reconciliation) { r.To = r.To.Next() },
	} {
		wrong := report
		change(&wrong)
		_, err := r.env.ExecuteActivity(r.Reconciliations.RecordReconciliation, RecordReconciliationInput{wrong})
		var said *temporal.ApplicationError
		if !errors.As(err, &said) || said.Type() != ErrorBadInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}
