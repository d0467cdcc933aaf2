package activities

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/internal/click"
)

const (
	lateness   = 10 * time.Second
	flushesMax = 60
)

// servers stand for the stream and the ledger; the SQL behind them is tested
// where it is written.
type servers struct {
	topic      string
	storedTill time.Time // every click appended before is committed
	asked      int       // questions to the stream
	calls      []string  // in order

	knownTopic string
	start      time.Time
	sealed     map[click.Window]click.Seal
	dirty      []click.Due
	gateways   journals
}

// journals are what gateways told, or nobody can be asked.
type journals struct {
	states []click.GatewayState
	err    error
}

func (j *journals) List(context.Context) ([]click.GatewayState, error) { return j.states, j.err }

func (s *servers) Progress(_ context.Context, notBefore time.Time) (string, []click.PartitionProgress, error) {
	s.asked++
	s.calls = append(s.calls, "offsets")
	required := int64(100)
	if notBefore.After(s.storedTill) {
		required = 101
	}
	return s.topic, []click.PartitionProgress{{Partition: 0, Committed: 100, Required: required}, {Partition: 1, Committed: 7, Required: 7}}, nil
}

func (s *servers) SealedThrough(context.Context) (time.Time, error) {
	if s.start.IsZero() {
		return s.start, nil
	}
	w := click.WindowOf(s.start)
	for {
		if _, ok := s.sealed[w]; !ok {
			return w.Start(), nil
		}
		w = w.Next()
	}
}

func (s *servers) UnsealedWindows(_ context.Context, from, before click.Window) (unsealed []click.Window, _ error) {
	for w := from; w.Before(before); w = w.Next() {
		if _, ok := s.sealed[w]; !ok {
			unsealed = append(unsealed, w)
		}
	}
	return unsealed, nil
}

func (s *servers) DirtyWindows(_ context.Context, _, _ click.Window, limit int) ([]click.Due, error) {
	return s.dirty[:min(limit, len(s.dirty))], nil
}

func (s *servers) WindowSeal(_ context.Context, w click.Window) (click.Seal, bool, error) {
	seal, ok := s.sealed[w]
	return seal, ok, nil
}

func (s *servers) LedgerTopic(context.Context) (string, error) { return s.knownTopic, nil }

func (s *servers) NextVersion(context.Context) (uint64, error) {
	s.calls = append(s.calls, "version")
	return 42, nil
}

func (s *servers) SealWindow(context.Context, click.Seal) error { return nil }

// now is 21:30:12, so that the window of 21:29 closed two seconds ago.
func newFlush(s *servers) (*Flush, time.Time) {
	now := time.Date(2026, 11, 23, 21, 30, 12, 0, time.UTC)
	if s.storedTill.IsZero() {
		s.storedTill = now
	}
	if s.topic == "" {
		s.topic = "topic"
	}
	return &Flush{Stream: s, Ledger: s, Gateways: &s.gateways, Lateness: lateness, Now: func() time.Time { return now }}, now
}

func environment(t *testing.T, f *Flush) *testsuite.TestActivityEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(f)
	return env
}

func plan(t *testing.T, f *Flush) (PlanResult, error) {
	t.Helper()
	value, err := environment(t, f).ExecuteActivity(f.PlanFlushes, PlanInput{Limit: flushesMax})
	if err != nil {
		return PlanResult{}, err
	}
	var result PlanResult
	if err := value.Get(&result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}

func names(due []click.Due) (names []string) {
	for _, d := range due {
		names = append(names, d.Window.Start().Format("15:04")+" "+d.Summary())
	}
	return names
}

func TestPlanIsEveryClosedUnsealedWindowThenTheDirtyOnes(t *testing.T) {
	s := &servers{sealed: map[click.Window]click.Seal{}}
	f, now := newFlush(s)
	s.start = now.Add(-4 * time.Minute)                              // 21:26
	s.sealed[click.WindowOf(now.Add(-3*time.Minute))] = click.Seal{} // 21:27 was sealed out of order
	s.dirty = []click.Due{{Window: click.WindowOf(now.Add(-time.Hour)), Reason: click.LateFlush, Late: 312}}
	result, err := plan(t, f)
	want := []string{"21:26 first", "21:28 first", "21:29 first", "20:30 late +312"}
	if err != nil || !slices.Equal(names(result.Due), want) || result.More || result.Waiting != 0 {
		t.Errorf("plan is %v %+v, %v; want %v", names(result.Due), result, err, want)
	}
	if s.asked != 1 {
		t.Errorf("asked Kafka %d times", s.asked)
	}
}

func TestPlanStopsAtTheFirstWindowThatWaitsForTheIngester(t *testing.T) {
	for stored := range 8 { // minutes before now that everything is stored till
		s := &servers{sealed: map[click.Window]click.Seal{}}
		f, now := newFlush(s)
		s.start = now.Add(-6 * time.Minute) // 21:24, six windows
		s.storedTill = now.Add(-time.Duration(stored) * time.Minute)
		result, err := plan(t, f)
		due := max(6-stored, 0)
		if err != nil || len(result.Due) != due || result.Waiting != 6-due {
			t.Errorf("stored till %d minutes ago: %d due, %d waiting, %v", stored, len(result.Due), result.Waiting, err)
		}
	}
}

func TestPlanWaitsForJournalsButNotForEver(t *testing.T) {
	s := &servers{sealed: map[click.Window]click.Seal{}}
	f, now := newFlush(s)
	s.start = now.Add(-15 * time.Minute) // 21:15
	s.gateways.states = []click.GatewayState{{JournalID: "a", Depth: 1, Oldest: click.WindowOf(now.Add(-13 * time.Minute)), At: now}}
	result, err := plan(t, f)
	// 21:17 to 21:19 have been waited for long enough, 21:20 and what follows not yet.
	want := []string{"21:15 first", "21:16 first", "21:17 first", "21:18 first", "21:19 first"}
	if err != nil || !slices.Equal(names(result.Due), want) || result.Held != 10 || result.Waiting != 10 {
		t.Errorf("plan is %v %+v, %v; want %v", names(result.Due), result, err, want)
	}
	s.gateways.err = click.ErrUnavailable
	if result, err = plan(t, f); err != nil || len(result.Due) != 15 {
		t.Errorf("with nobody to ask %d are due, %v", len(result.Due), err)
	}
}

func TestPlanWithNothingDueDoesNotAskKafka(t *testing.T) {
	s := &servers{}
	f, now := newFlush(s)
	s.start = now
	if result, err := plan(t, f); err != nil || len(result.Due) != 0 || s.asked != 0 {
		t.Errorf("plan is %+v, %v, asked Kafka %d times", result, err, s.asked)
	}
}

func TestPlanIsBounded(t *testing.T) {
	s := &servers{}
	f, now := newFlush(s)
	s.start = now.Add(-3 * time.Hour)
	result, err := plan(t, f)
	if err != nil || len(result.Due) != flushesMax || !result.More || result.Due[0].Window != click.WindowOf(s.start) {
		t.Errorf("%d due, more %v, %v", len(result.Due), result.More, err)
	}
}

func TestPlanLeavesWindowsOlderThanTheRawClicks(t *testing.T) {
	s := &servers{}
	f, now := newFlush(s)
	s.start = now.Add(-click.RawRetention)
	result, err := plan(t, f)
	if err != nil || result.TooOld != 24*60+1 || result.Due[0].Window.Before(click.FlushableFrom(now)) {
		t.Errorf("too old are %d, first due %s, %v", result.TooOld, result.Due[0].Window, err)
	}
}

func TestPlanNeedsALedger(t *testing.T) {
	f, _ := newFlush(&servers{})
	if _, err := plan(t, f); err == nil || !strings.Contains(err.Error(), "run setup") {
		t.Errorf("plan without a ledger: %v", err)
	}
}

func TestAnotherTopicStopsPlanAndFlushForGood(t *testing.T) {
	s := &servers{knownTopic: "lost"}
	f, now := newFlush(s)
	s.start = now.Add(-time.Hour)
	_, planned := plan(t, f)
	_, fixed := f.FixSnapshot(t.Context(), SnapshotInput{Window: click.WindowOf(now.Add(-time.Hour))})
	for _, err := range []error{planned, fixed} {
		var application *temporal.ApplicationError
		if !errors.As(err, &application) || application.Type() != ErrorOtherTopic || !application.NonRetryable() {
			t.Errorf("another topic: %v", err)
		}
	}
}

func TestSnapshotReadsOffsetsBeforeItsVersion(t *testing.T) {
	s := &servers{sealed: map[click.Window]click.Seal{}}
	f, now := newFlush(s)
	w := click.WindowOf(now.Add(-time.Minute))
	s.sealed[w] = click.Seal{}
	result, err := f.FixSnapshot(t.Context(), SnapshotInput{Window: w})
	got := result.Snapshot
	if err != nil || !slices.Equal(got.Checked, click.Offsets{100, 7}) || got.Version != 42 || got.TopicID != "topic" || !result.WasFinal {
		t.Errorf("snapshot is %+v, %v", result, err)
	}
	if !slices.Equal(s.calls, []string{"offsets", "version"}) {
		t.Errorf("read in the order %v", s.calls)
	}
}

func TestSnapshotOfAWindowThatIsNotReadyIsBenign(t *testing.T) {
	s := &servers{}
	f, now := newFlush(s)
	s.storedTill = now.Add(-time.Minute)
	for name, w := range map[string]click.Window{
		"open until":             click.WindowOf(now),
		"waits for the ingester": click.WindowOf(now.Add(-time.Minute)),
	} {
		_, err := f.FixSnapshot(t.Context(), SnapshotInput{Window: w})
		var application *temporal.ApplicationError
		if !errors.As(err, &application) || application.NonRetryable() ||
			application.Category() != temporal.ApplicationErrorCategoryBenign || !strings.Contains(err.Error(), name) {
			t.Errorf("window %s: %v", w, err)
		}
	}
}

func TestSnapshotOfAWindowOlderThanTheRawClicksIsRefused(t *testing.T) {
	f, now := newFlush(&servers{})
	_, err := f.FixSnapshot(t.Context(), SnapshotInput{Window: click.WindowOf(now.Add(-click.RawRetention + time.Hour))})
	var application *temporal.ApplicationError
	if !errors.As(err, &application) || !application.NonRetryable() || !strings.Contains(err.Error(), "lake") {
		t.Errorf("snapshot: %v", err)
	}
}
