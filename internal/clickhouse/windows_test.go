package clickhouse

import (
	"errors"
	"testing"
	"time"

	"clickledger/internal/click"
)

func (l ledger) through() time.Time {
	l.t.Helper()
	through, err := l.SealedThrough(l.t.Context())
	l.must(err)
	return through
}

func (l ledger) seal(w click.Window, checked ...int64) {
	l.t.Helper()
	l.must(l.SealWindow(l.t.Context(), click.Seal{Snapshot: l.snapshot(w, checked...), Reason: "first"}))
}

func (l ledger) dirty() []click.Due {
	l.t.Helper()
	now := time.Now()
	due, err := l.DirtyWindows(l.t.Context(), click.FlushableFrom(now), click.WindowOf(now).Next(), 100)
	l.must(err)
	return due
}

func TestLedgerStartsOnce(t *testing.T) {
	l := newLedger(t)
	again, err := l.StartLedger(t.Context(), click.WindowOf(time.Now()))
	l.must(err)
	if again != l.start {
		t.Errorf("the ledger starts at %s, want %s", again, l.start)
	}
}

func TestSealedThroughIsTheContiguousPrefix(t *testing.T) {
	l := newLedger(t)
	second, third := l.start.Next(), l.start.Next().Next()
	for _, step := range []struct {
		seal click.Window
		want click.Window
	}{{third, l.start}, {l.start, second}, {second, third.Next()}} {
		l.seal(step.seal)
		if got := l.through(); !got.Equal(step.want.Start()) {
			t.Errorf("after sealing %s: sealed through %s, want %s", step.seal, got, step.want)
		}
	}
	unsealed, err := l.UnsealedWindows(t.Context(), l.start, third.Next().Next())
	l.must(err)
	if len(unsealed) != 1 || unsealed[0] != third.Next() {
		t.Errorf("unsealed are %v, want only %s", unsealed, third.Next())
	}
}

func TestSealedThroughNoticesALedgerBegunAnew(t *testing.T) {
	l := newLedger(t)
	l.seal(l.start)
	l.through()
	l.must(l.conn.Exec(t.Context(), "TRUNCATE TABLE windows_local"))
	if got := l.through(); !got.IsZero() {
		t.Errorf("sealed through %s in an empty ledger", got)
	}
	earlier := click.WindowOf(l.start.Start().Add(-time.Hour))
	_, err := l.StartLedger(t.Context(), earlier)
	l.must(err)
	if got := l.through(); !got.Equal(earlier.Start()) {
		t.Errorf("sealed through %s, want %s", got, earlier)
	}
}

// A flush that is under way while every table is lost and made anew must not
// make its minute the start of the ledger.
func TestNothingIsSealedInALedgerThatHasNoStart(t *testing.T) {
	l := newLedger(t)
	l.must(l.conn.Exec(t.Context(), "TRUNCATE TABLE windows_local"))
	old := click.Seal{Snapshot: l.snapshot(l.start), Reason: "late"}
	for name, err := range map[string]error{
		"SealWindow": l.SealWindow(t.Context(), old),
		"SealSpan":   l.SealSpan(t.Context(), []click.Seal{old}),
	} {
		if !errors.Is(err, click.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	start := click.HourEnd(l.start)
	begun, err := l.StartLedger(t.Context(), start)
	l.must(err)
	l.must(l.SealWindow(t.Context(), old))
	if got := l.through(); begun != start || !got.Equal(start.Start()) {
		t.Errorf("the ledger starts at %s and is sealed through %s, want %s", begun, got, start)
	}
}

func TestAClickAtOrBeyondTheCheckedOffsetMakesASealedWindowDirty(t *testing.T) {
	for _, one := range []struct {
		name      string
		partition int32
		offset    int64
		late      uint64
	}{
		{"below", 1, 19, 0},
		{"at", 1, 20, 1},
		{"beyond", 1, 25, 1},
		{"in a partition that was not checked", 14, 0, 1},
	} {
		t.Run(one.name, func(t *testing.T) {
			l := newLedger(t)
			l.seal(l.start, 10, 20)
			l.store(l.start, 7, 71, 1, one.partition, one.offset)
			l.store(l.start.Next(), 7, 71, 2, 0, 500) // not sealed: not dirty
			dirty := l.dirty()
			if one.late == 0 && len(dirty) == 0 {
				return
			}
			want := click.Due{Window: l.start, Reason: click.LateFlush, Late: one.late}
			if len(dirty) != 1 || dirty[0] != want {
				t.Errorf("dirty are %v, want %v", dirty, want)
			}
		})
	}
}

func TestAFlushCleansFifteenPartitions(t *testing.T) {
	l := newLedger(t)
	checked := make([]int64, 15)
	for p := range checked {
		l.store(l.start, 7, 71, p, int32(p), int64(100+p))
		checked[p] = int64(101 + p)
	}
	l.flush(l.snapshot(l.start, checked...))
	l.expect("figures", l.figures(l.start), "7/0=15", "7/71=15")
	if dirty := l.dirty(); len(dirty) != 0 {
		t.Errorf("dirty are %v after a flush of everything", dirty)
	}
	seal, _, err := l.WindowSeal(t.Context(), l.start)
	l.must(err)
	if click.Dirty(seal.Checked, map[int32]int64{14: 114}) || !click.Dirty(seal.Checked, map[int32]int64{14: 115}) {
		t.Errorf("checked came back as %v", seal.Checked)
	}
}

func TestAClickFromBeforeTheLedgersStartIsFlushedAndMovesNothing(t *testing.T) {
	l := newLedger(t)
	l.seal(l.start)
	before := click.WindowOf(l.start.Start().Add(-10 * time.Minute))
	l.store(before, 7, 71, 1, 0, 3)
	want := click.Due{Window: before, Reason: click.LateFlush, Late: 1}
	if dirty := l.dirty(); len(dirty) != 1 || dirty[0] != want {
		t.Fatalf("dirty are %v, want %v", dirty, want)
	}
	l.flush(l.snapshot(before, 4))
	l.expect("figures", l.figures(before), "7/0=1", "7/71=1")
	l.expect("restatements", l.restatements(before), "7/0:0>1", "7/71:0>1")
	if dirty := l.dirty(); len(dirty) != 0 {
		t.Errorf("dirty are %v after the flush", dirty)
	}
	if got := l.through(); !got.Equal(l.start.End()) {
		t.Errorf("sealed through %s, want %s", got, l.start.End())
	}
}

func TestLedgerRemembersItsTopic(t *testing.T) {
	l := newLedger(t)
	if topic, err := l.LedgerTopic(t.Context()); err != nil || topic != "" {
		t.Errorf("topic of an unsealed ledger is %q, %v", topic, err)
	}
	l.seal(l.start)
	if topic, err := l.LedgerTopic(t.Context()); err != nil || topic != "topic" {
		t.Errorf("topic is %q, %v", topic, err)
	}
}
