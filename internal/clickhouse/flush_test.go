package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// ledger is a store of its own with the helpers a flush needs around it.
type ledger struct {
	*Store
	t     *testing.T
	start click.Window
}

func newLedger(t *testing.T) ledger {
	t.Helper()
	return newLedgerFrom(t, click.WindowOf(time.Now().Add(-time.Hour)))
}

func newLedgerFrom(t *testing.T, start click.Window) ledger {
	t.Helper()
	return newLedgerOn(t, stacktest.Config(t), start)
}

func newLedgerOn(t *testing.T, c config.Config, start click.Window) ledger {
	t.Helper()
	if err := Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return DropDatabase(ctx, c) })
	store, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	l := ledger{store, t, start}
	if _, err := store.StartLedger(t.Context(), l.start); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l ledger) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// store puts a click of an impression into w at a place in the stream.
func (l ledger) store(w click.Window, advertiser, ad int64, impression int, partition int32, offset int64) {
	l.t.Helper()
	l.must(l.conn.Exec(l.t.Context(), `INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, partition, offset)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, w.Start(), advertiser, ad, impressionText(impression), w.Start(), partition, offset))
}

// remove is what a repair does: a tombstone over the click.
func (l ledger) remove(w click.Window, advertiser, ad int64, impression int) {
	l.t.Helper()
	version, err := l.NextVersion(l.t.Context())
	l.must(err)
	l.must(l.conn.Exec(l.t.Context(), `INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, version, is_deleted)
		VALUES (?, ?, ?, ?, ?, ?, 1)`, w.Start(), advertiser, ad, impressionText(impression), w.Start(), version))
}

func impressionText(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }

func (l ledger) snapshot(w click.Window, checked ...int64) click.Snapshot {
	l.t.Helper()
	version, err := l.NextVersion(l.t.Context())
	l.must(err)
	return click.Snapshot{Window: w, TopicID: "topic", Checked: checked, Version: version}
}

// flush is the whole of one flush; it returns how many figures it restated.
func (l ledger) flush(snapshot click.Snapshot) uint64 {
	l.t.Helper()
	_, wasFinal, err := l.WindowSeal(l.t.Context(), snapshot.Window)
	l.must(err)
	restated, err := l.AggregateWindow(l.t.Context(), snapshot, wasFinal, click.LateFlush)
	l.must(err)
	l.verifyAndSeal(snapshot)
	return restated
}

func (l ledger) verifyAndSeal(snapshot click.Snapshot) click.Tally {
	l.t.Helper()
	tally, err := l.VerifyWindow(l.t.Context(), snapshot)
	l.must(err)
	if !tally.Agrees() {
		l.t.Fatalf("tally disagrees: %+v", tally)
	}
	l.must(l.SealWindow(l.t.Context(), click.Seal{Snapshot: snapshot, Clicks: tally.Distinct, Rows: tally.Rows, Reason: "late"}))
	return tally
}

// figures of a window as "advertiser/ad=clicks", without zeros.
func (l ledger) figures(w click.Window) []string {
	return l.strings(`SELECT concat(toString(advertiser_id), '/', toString(ad_id), '=', toString(clicks))
		FROM clicks_per_minute FINAL WHERE minute = ? AND clicks > 0 ORDER BY advertiser_id, ad_id`, w.Start())
}

// restatements of a window as "advertiser/ad:before>after"; before = after is none.
func (l ledger) restatements(w click.Window) []string {
	return l.strings(`SELECT concat(toString(advertiser_id), '/', toString(ad_id), ':', toString(before), '>', toString(after))
		FROM restatements FINAL WHERE minute = ? AND before != after ORDER BY at, advertiser_id, ad_id`, w.Start())
}

func (l ledger) strings(query string, args ...any) []string {
	l.t.Helper()
	rows, err := l.conn.Query(l.t.Context(), query, args...)
	l.must(err)
	defer func() { _ = rows.Close() }()
	found := []string{}
	for rows.Next() {
		var s string
		l.must(rows.Scan(&s))
		found = append(found, s)
	}
	l.must(rows.Err())
	return found
}

func (l ledger) expect(what string, got []string, want ...string) {
	l.t.Helper()
	if !slices.Equal(got, want) && len(got)+len(want) > 0 {
		l.t.Errorf("%s are %v, want %v", what, got, want)
	}
}

func TestFirstFlushCountsEachImpressionOnceAndTotalsEachAdvertiser(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.store(w, 7, 71, 1, 0, 10)
	l.store(w, 7, 71, 1, 0, 10) // a redelivery
	l.store(w, 7, 71, 2, 1, 5)
	l.store(w, 7, 72, 3, 0, 11)
	l.store(w, 8, 81, 4, 1, 6)
	l.flush(l.snapshot(w, 100, 100))
	l.expect("figures", l.figures(w), "7/0=3", "7/71=2", "7/72=1", "8/0=1", "8/81=1")
	l.expect("restatements", l.restatements(w))
}

func TestFlushReadsOnlyWhatWasStoredBeforeItsOffsets(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.store(w, 7, 71, 1, 0, 10)
	l.store(w, 7, 71, 2, 0, 11) // at the checked offset: the next flush's
	l.store(w, 7, 71, 3, 5, 0)  // a partition that was not checked
	l.flush(l.snapshot(w, 11))
	l.expect("figures", l.figures(w), "7/0=1", "7/71=1")
}

func TestLateClickRestatesWithBeforeAndAfter(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.store(w, 7, 71, 1, 0, 10)
	l.store(w, 7, 72, 2, 0, 11)
	l.flush(l.snapshot(w, 12))
	l.store(w, 7, 71, 3, 0, 12)
	l.store(w, 9, 91, 4, 0, 13)
	if restated := l.flush(l.snapshot(w, 14)); restated != 4 {
		t.Errorf("restated %d figures, want 4", restated)
	}
	l.expect("figures", l.figures(w), "7/0=3", "7/71=2", "7/72=1", "9/0=1", "9/91=1")
	l.expect("restatements", l.restatements(w), "7/0:2>3", "7/71:1>2", "9/0:0>1", "9/91:0>1")
}

// The whole way of a late click: found by its offset, flushed, shown as
// restated, and not found again.
func TestLateClickIsFoundFlushedAndShownRestated(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now().Add(-30*time.Minute))
	wantDirty := func(want ...click.Due) {
		t.Helper()
		dirty, err := l.DirtyWindows(t.Context(), l.start, click.WindowOf(time.Now()), 10)
		if err != nil || !slices.Equal(dirty, want) {
			t.Errorf("dirty are %v, want %v: %v", dirty, want, err)
		}
	}
	wantShown := func(want int) {
		t.Helper()
		points, err := l.RestatedPoints(t.Context(), ReportQuery{
			AdvertiserID: 7, AdIDs: []int64{71}, From: w.Start(), To: w.End(), RowsMax: 10,
		})
		if err != nil || len(points) != want {
			t.Errorf("%d points are shown as restated, want %d: %v", len(points), want, err)
		}
	}
	l.store(w, 7, 71, 1, 0, 10)
	l.flush(l.snapshot(w, 12, 5))
	wantDirty()
	wantShown(0)
	l.store(w, 7, 71, 1, 0, 10) // a repeat below the checked offset is not late
	wantDirty()
	l.store(w, 7, 71, 2, 1, 5)
	l.store(w, 7, 71, 3, 0, 12)
	wantDirty(click.Due{Window: w, Reason: click.LateFlush, Late: 2})
	l.flush(l.snapshot(w, 13, 6))
	wantDirty()
	wantShown(1)
	l.expect("restatements", l.restatements(w), "7/0:1>3", "7/71:1>3")
	l.remove(w, 7, 71, 1)
	l.remove(w, 7, 71, 2)
	l.remove(w, 7, 71, 3)
	l.flush(l.snapshot(w, 13, 6))
	l.expect("figures", l.figures(w))
	l.expect("restatements", l.restatements(w), "7/0:1>3", "7/71:1>3", "7/0:3>0", "7/71:3>0")
}

func TestFlushWithoutChangeRestatesNothing(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.store(w, 7, 71, 1, 0, 10)
	l.flush(l.snapshot(w, 12))
	if restated := l.flush(l.snapshot(w, 20)); restated != 0 {
		t.Errorf("restated %d figures, want none", restated)
	}
	l.expect("figures", l.figures(w), "7/0=1", "7/71=1")
	l.expect("restatements", l.restatements(w))
}

func TestVanishedFiguresBecomeZeros(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.store(w, 7, 71, 1, 0, 10)
	l.store(w, 7, 72, 2, 0, 11)
	l.flush(l.snapshot(w, 12))
	l.remove(w, 7, 72, 2)
	l.flush(l.snapshot(w, 12))
	l.expect("figures", l.figures(w), "7/0=1", "7/71=1")
	l.expect("restatements", l.restatements(w), "7/0:2>1", "7/72:1>0")
}

func TestFlushRepeatedAfterAnyCrashLeavesTheSameRows(t *testing.T) {
	for name, crashed := range map[string]func(ledger, click.Snapshot){
		"after the restatements": func(l ledger, s click.Snapshot) {
			l.must(l.conn.Exec(l.flushContext(l.t.Context(), s, click.LateFlush), restateQuery))
		},
		"between figures": func(l ledger, s click.Snapshot) {
			ctx := l.flushContext(l.t.Context(), s, click.LateFlush)
			l.must(l.conn.Exec(ctx, restateQuery))
			l.must(l.conn.Exec(ctx, `INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
				VALUES (7, 71, {minutes:Array(DateTime('UTC'))}[1], 2, {version:UInt64})`))
		},
		"after the figures": func(l ledger, s click.Snapshot) {
			_, err := l.AggregateWindow(l.t.Context(), s, true, click.LateFlush)
			l.must(err)
		},
		"after the seal": func(l ledger, s click.Snapshot) { l.flush(s) },
	} {
		t.Run(name, func(t *testing.T) {
			l, w := newLedger(t), click.WindowOf(time.Now())
			l.store(w, 7, 71, 1, 0, 10)
			l.store(w, 7, 72, 2, 0, 11)
			l.flush(l.snapshot(w, 12))
			l.store(w, 7, 71, 3, 0, 12)
			l.remove(w, 7, 72, 2)
			snapshot := l.snapshot(w, 13)
			crashed(l, snapshot)
			l.flush(snapshot)
			l.expect("figures", l.figures(w), "7/0=2", "7/71=2")
			l.expect("restatements", l.restatements(w), "7/71:1>2", "7/72:1>0")
		})
	}
}

// A flush dies after it announced changes, and another finds them gone.
func TestAnnouncedChangeThatVanishedIsTakenBack(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	announce := func() {
		l.must(l.conn.Exec(l.flushContext(t.Context(), l.snapshot(w, 20), click.LateFlush), restateQuery))
	}
	l.store(w, 7, 71, 1, 0, 10)
	l.store(w, 7, 72, 2, 0, 11)
	l.flush(l.snapshot(w, 12))
	l.store(w, 7, 71, 3, 0, 12)
	l.store(w, 9, 91, 4, 0, 13) // an ad without a figure yet
	announce()
	l.expect("restatements", l.restatements(w), "7/0:2>3", "7/71:1>2", "9/0:0>1", "9/91:0>1")
	l.remove(w, 7, 71, 3)
	l.remove(w, 9, 91, 4)
	if restated := l.flush(l.snapshot(w, 20)); restated != 0 {
		t.Errorf("restated %d figures, want none", restated)
	}
	l.expect("figures", l.figures(w), "7/0=2", "7/71=1", "7/72=1")
	l.expect("restatements", l.restatements(w))
	for _, byAd := range []bool{false, true} {
		points, err := l.RestatedPoints(t.Context(), ReportQuery{AdvertiserID: 7, From: w.Start(), To: w.End(), ByAd: byAd, RowsMax: 10})
		if err != nil || len(points) != 0 {
			t.Errorf("shown as restated: %v, %v", points, err)
		}
	}

	// What really changed stays told, and a change after a taken-back one is told with its own figures.
	l.store(w, 7, 72, 5, 0, 21)
	l.flush(l.snapshot(w, 22))
	l.flush(l.snapshot(w, 23))
	l.expect("restatements", l.restatements(w), "7/0:2>3", "7/72:1>2")
}

func TestAnOlderFlushLosesAgainstANewerOne(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.store(w, 7, 71, 1, 0, 10)
	old := l.snapshot(w, 11)
	l.store(w, 7, 71, 2, 0, 11)
	l.flush(l.snapshot(w, 12))
	_, err := l.AggregateWindow(t.Context(), old, true, click.LateFlush)
	l.must(err)
	l.must(l.SealWindow(t.Context(), click.Seal{Snapshot: old, Clicks: 1}))
	l.expect("figures", l.figures(w), "7/0=2", "7/71=2")
	l.expect("restatements", l.restatements(w))
	seal, _, err := l.WindowSeal(t.Context(), w)
	l.must(err)
	if seal.Clicks != 2 {
		t.Errorf("the ledger says %d clicks, want 2", seal.Clicks)
	}
}

func TestEmptyWindowIsSealedWithoutFigures(t *testing.T) {
	l, w := newLedger(t), click.WindowOf(time.Now())
	l.flush(l.snapshot(w, 100))
	l.expect("figures", l.figures(w))
	if _, sealed, err := l.WindowSeal(t.Context(), w); err != nil || !sealed {
		t.Errorf("sealed = %v, %v", sealed, err)
	}
}
