package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

func TestEveryImpressionIsStoredOnceAtItsLowestOffset(t *testing.T) {
	w := busy(t)
	if err := w.run(t, w.parts()); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	if len(w.buried) != 3 || w.buried[0].Reason != "unreadable" {
		t.Errorf("buried %v, want the three unreadable records", w.buried)
	}
}

// crash is the sudden end of a process before or after the nth call of a step.
type crash struct {
	step  string
	after bool
	nth   int
	calls map[string]int
}

var errCrash = fmt.Errorf("%w: crash", ErrFatal)

func (c *crash) around(step string, do func() error) error {
	c.calls[step]++
	now := step == c.step && c.calls[step] == c.nth
	if now && !c.after {
		return errCrash
	}
	if err := do(); err != nil {
		return err
	}
	if now {
		return errCrash
	}
	return nil
}

type crashingStream struct {
	Stream
	*crash
}

func (s crashingStream) Commit(ctx context.Context) error {
	return s.around("commit", func() error { return s.Stream.Commit(ctx) })
}

func (s crashingStream) Bury(ctx context.Context, letters []click.DeadLetter) error {
	return s.around("bury", func() error { return s.Stream.Bury(ctx, letters) })
}

type crashingStore struct {
	store
	*crash
}

func (s crashingStore) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	return s.around("insert", func() error { return s.store.InsertClicks(ctx, clicks) })
}

func (s crashingStore) InsertFiltered(ctx context.Context, entries []click.Filtered) error {
	return s.around("note dropped", func() error { return s.store.InsertFiltered(ctx, entries) })
}

type crashingSeen struct {
	seenIndex
	*crash
}

func (s crashingSeen) Mark(ctx context.Context, ids []click.ImpressionID) error {
	return s.around("mark", func() error { return s.seenIndex.Mark(ctx, ids) })
}

// crashing is parts that end at the crash.
func crashing(p Parts, c crash) Parts {
	c.calls = map[string]int{}
	join := p.Join
	p.Join = func(ctx context.Context) (Stream, error) {
		stream, err := join(ctx)
		return crashingStream{stream, &c}, err
	}
	p.Store, p.Seen = crashingStore{p.Store, &c}, crashingSeen{p.Seen, &c}
	p.Registry = prometheus.NewRegistry()
	return p
}

func TestCrashBetweenAnyTwoStepsChangesNoCount(t *testing.T) {
	for _, step := range []string{"insert", "bury", "mark", "note dropped", "commit"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/after=%v", step, after), func(t *testing.T) {
				w := busy(t)
				for nth := 1; nth <= 3; nth++ { // in the first batch, and in later ones
					err := w.run(t, crashing(w.parts(), crash{step: step, after: after, nth: nth}))
					if nth == 1 && !errors.Is(err, errCrash) {
						t.Fatalf("it did not crash: %v", err)
					}
				}
				if err := w.run(t, w.parts()); err != nil {
					t.Fatal(err)
				}
				w.check(t)
			})
		}
	}
}

func TestLostSeenIndexIsRebuiltBeforeAnythingIsStored(t *testing.T) {
	w := busy(t)
	if err := w.run(t, w.parts()); err != nil {
		t.Fatal(err)
	}
	// Everything is read once more, with an empty index.
	w.committed = map[int32]int64{}
	w.complete, w.seen = false, map[click.ImpressionID]bool{}
	if err := w.run(t, w.parts()); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	if w.rebuilds != 1 {
		t.Errorf("rebuilt %d times", w.rebuilds)
	}
}

func TestForgottenImpressionsAreLookedUpInTheStore(t *testing.T) {
	w := newWorld()
	now := time.Now()
	old := newImpression(t, now.Add(-validity-5*time.Hour-time.Minute))
	w.click(0, old, now.Add(-20*time.Hour))
	for range 4 { // another batch
		w.click(0, newImpression(t, now), now)
	}
	w.click(0, old, now.Add(-19*time.Hour))
	if err := w.run(t, w.parts()); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	if w.lookedUp != 2 {
		t.Errorf("%d clicks were looked up, want the two of the forgotten impression", w.lookedUp)
	}
}

func TestCulpritsAreFoundAndTheRestIsStored(t *testing.T) {
	w := newWorld()
	w.perBatch = 100
	now := time.Now()
	var culprits []click.Position
	for n := range 37 {
		c := w.click(0, newImpression(t, now), now)
		if n%9 == 4 {
			w.refuses[c.Impression] = true
			culprits = append(culprits, c.Position)
		}
	}
	if err := w.run(t, w.parts()); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	var buried []click.Position
	for _, letter := range w.buried {
		buried = append(buried, letter.Position)
		if !strings.Contains(letter.Reason, click.ErrRejected.Error()) {
			t.Errorf("reason is %q", letter.Reason)
		}
	}
	if !slices.Equal(buried, culprits) {
		t.Errorf("buried %v, want %v", buried, culprits)
	}
	for impression := range w.refuses {
		if w.seen[impression] {
			t.Error("a click that was not stored was marked as seen")
		}
	}
}

func TestOutagesAreWaitedOut(t *testing.T) {
	for name, begin := range map[string]func(*world){
		"store away":         func(w *world) { w.failures = 3 },
		"index full":         func(w *world) { w.full = 3 },
		"away before a note": func(w *world) { w.filteredFaults = []error{click.ErrUnavailable, click.ErrUnavailable} },
		"a passing fault":    func(w *world) { w.filteredFaults = []error{errors.New("TOO_MANY_PARTS")} },
	} {
		t.Run(name, func(t *testing.T) {
			w := busy(t)
			begin(w)
			if err := w.run(t, w.parts()); err != nil {
				t.Fatal(err)
			}
			w.check(t)
			if w.joins != 1 {
				t.Errorf("joined %d times, want to have stayed", w.joins)
			}
		})
	}
}

func TestRefusedCommitIsFollowedByANewMembership(t *testing.T) {
	w := busy(t)
	parts := w.parts()
	refused := false
	parts.Join = func(ctx context.Context) (Stream, error) {
		stream, err := w.join(ctx)
		return refusing{stream, &refused}, err
	}
	if err := w.run(t, parts); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	if w.joins != 2 {
		t.Errorf("joined %d times, want 2", w.joins)
	}
}

// refusing refuses the first commit, as if the partitions were another's.
type refusing struct {
	Stream
	refused *bool
}

func (r refusing) Commit(ctx context.Context) error {
	if !*r.refused {
		*r.refused = true
		return errors.New("ILLEGAL_GENERATION")
	}
	return r.Stream.Commit(ctx)
}

func TestStopFinishesTheBatch(t *testing.T) {
	w := busy(t)
	w.perBatch = 1000
	ctx, stop := context.WithCancel(t.Context())
	w.drained = stop
	parts := w.parts()
	parts.Store = stopping{w.shelf, stop}
	ingester, err := New(parts)
	if err != nil {
		t.Fatal(err)
	}
	if err := ingester.Run(ctx); err != nil {
		t.Fatal(err)
	}
	w.check(t)
}

// stopping tells the program to stop in the middle of a batch.
type stopping struct {
	*shelf
	stop func()
}

func (s stopping) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	s.stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.shelf.InsertClicks(ctx, clicks)
}

func TestMissingPartIsRefused(t *testing.T) {
	p := newWorld().parts()
	p.RebuildSeen = nil
	if _, err := New(p); err == nil {
		t.Error("an ingester that cannot rebuild was made")
	}
}

func TestMetricsTellWhatBecameOfTheClicks(t *testing.T) {
	w := busy(t)
	parts := w.parts()
	registry := prometheus.NewRegistry()
	parts.Registry = registry
	if err := w.run(t, parts); err != nil {
		t.Fatal(err)
	}
	records := 0
	for _, clicks := range w.clicks {
		records += len(clicks)
	}
	for name, want := range map[string]int{
		"clickledger_ingester_clicks_stored_total":  len(w.rows),
		"clickledger_ingester_dead_letters_total":   len(w.bad),
		"clickledger_ingester_clicks_dropped_total": records - len(w.rows) - len(w.bad),
	} {
		if got := total(t, registry, name); got != want || want == 0 {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// total is a counter's value, over all its labels.
func total(t *testing.T, registry *prometheus.Registry, name string) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}
