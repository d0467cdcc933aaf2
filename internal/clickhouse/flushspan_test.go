package clickhouse

import (
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
)

func (l ledger) span(checked int64, minutes ...click.Window) click.SpanSnapshot {
	l.t.Helper()
	version, err := l.NextVersion(l.t.Context())
	l.must(err)
	return click.SpanSnapshot{Minutes: minutes, TopicID: "topic", Checked: click.Offsets{checked}, Version: version}
}

// flushSpan is the whole of one flush of many minutes; it returns how many
// figures it restated.
func (l ledger) flushSpan(snapshot click.SpanSnapshot, reason click.FlushReason) uint64 {
	l.t.Helper()
	restated, err := l.AggregateSpan(l.t.Context(), snapshot, reason, quiet)
	l.must(err)
	tallies, err := l.VerifySpan(l.t.Context(), snapshot, quiet)
	l.must(err)
	var seals []click.Seal
	for _, w := range snapshot.Minutes {
		if tally := tallies[w]; !tally.Agrees() {
			l.t.Errorf("the tally of %s disagrees: %+v", w, tally)
		}
		seals = append(seals, click.Seal{Snapshot: snapshot.Of(w), Clicks: tallies[w].Distinct, Rows: tallies[w].Rows, Reason: string(reason)})
	}
	l.must(l.SealSpan(l.t.Context(), seals))
	return restated
}

func (l ledger) states(minutes ...click.Window) []string {
	l.t.Helper()
	var states []string
	for _, w := range minutes {
		states = append(states, l.strings("SELECT concat(state, ' ', toString(clicks)) FROM windows FINAL WHERE minute = ?", w.Start())...)
	}
	return states
}

func TestManyMinutesAreFlushedLikeEachAlone(t *testing.T) {
	l := newLedger(t)
	first, second, third := l.start, l.start.Next(), l.start.Next().Next()
	l.store(first, 7, 71, 1, 0, 10)
	l.store(first, 7, 72, 2, 0, 11)
	l.flush(l.snapshot(first, 20))
	l.store(first, 7, 71, 3, 0, 20)
	l.remove(first, 7, 72, 2)
	l.store(second, 7, 71, 1, 0, 21) // the same impression elsewhere: each minute counts its own
	l.store(second, 8, 81, 4, 0, 22)
	l.store(third, 7, 71, 5, 0, 40) // not read yet
	snapshot := l.span(30, first, second, third)
	_, err := l.AggregateSpan(t.Context(), snapshot, click.RepairFlush, quiet) // an attempt that died here
	l.must(err)
	if restated := l.flushSpan(snapshot, click.RepairFlush); restated != 2 {
		t.Errorf("restated %d figures, want 2", restated)
	}
	l.expect("figures", l.figures(first), "7/0=2", "7/71=2")
	l.expect("figures", l.figures(second), "7/0=1", "7/71=1", "8/0=1", "8/81=1")
	l.expect("figures", l.figures(third))
	l.expect("restatements", l.restatements(first), "7/71:1>2", "7/72:1>0")
	l.expect("restatements of what was never final", l.restatements(second))
	l.expect("states", l.states(first, second, third), "SEALED 2", "SEALED 2", "SEALED 0")
	if through := l.through(); !through.Equal(third.End()) {
		t.Errorf("sealed through %s, want %s", through, third.End())
	}
	if restated := l.flushSpan(l.span(30, first, second, third), click.RepairFlush); restated != 0 {
		t.Errorf("the same again restated %d figures", restated)
	}
}

func TestAnOlderFlushOfManyMinutesLosesAgainstANewerOneOfOne(t *testing.T) {
	l := newLedger(t)
	l.store(l.start, 7, 71, 1, 0, 10)
	l.flush(l.snapshot(l.start, 20))
	old := l.span(30, l.start, l.start.Next())
	l.store(l.start, 7, 71, 2, 0, 35)
	l.flush(l.snapshot(l.start, 40))
	_, err := l.AggregateSpan(t.Context(), old, click.RepairFlush, quiet)
	l.must(err)
	l.expect("figures", l.figures(l.start), "7/0=2", "7/71=2")
	l.expect("restatements", l.restatements(l.start), "7/0:1>2", "7/71:1>2")
}

// A store that was made anew: its ledger starts now, and what was before comes
// back. It was final, is final, and reads so.
func TestARangeThatIsBroughtBackIsFinalAndNotRestated(t *testing.T) {
	l := newLedger(t)
	before := click.WindowOf(l.start.Start().Add(-3 * time.Hour))
	untouched := before.Next()
	l.store(before, 7, 71, 1, 0, 10) // it waited in Kafka, and the tick flushed it as late
	l.flush(l.snapshot(before, 20))
	l.expect("restatements before", l.restatements(before), "7/0:0>1", "7/71:0>1")
	l.must(l.conn.Exec(t.Context(), `INSERT INTO restatements (advertiser_id, ad_id, minute, replaced_version, at, before, after, reason) VALUES (7, 71, ?, 5, ?, 3, 4, 'late')`,
		untouched.Start(), l.start.Start().Add(-time.Hour))) // from the old store, restored by setup
	for _, w := range []click.Window{before, untouched} {
		l.store(w, 7, 71, 2, 0, 11)
		l.store(w, 7, 72, 3, 0, 12)
	}
	if restated := l.flushSpan(l.span(30, before, untouched), click.BackfillFlush); restated != 0 {
		t.Errorf("restated %d figures", restated)
	}
	l.expect("figures", l.figures(before), "7/0=3", "7/71=2", "7/72=1")
	l.expect("restatements", l.restatements(before))
	l.expect("restored restatements", l.restatements(untouched), "7/71:3>4")
	l.expect("states", l.states(before, untouched), "EARLIER 3", "EARLIER 2")
	if dirty := l.dirty(); len(dirty) != 0 {
		t.Errorf("dirty are %v", dirty)
	}
	l.store(before, 7, 72, 9, 0, 40)
	if restated := l.flushSpan(l.span(50, before), click.BackfillFlush); restated != 2 {
		t.Errorf("a change of what was brought back restated %d figures, want 2", restated)
	}
}

func TestWhatARepairInsertsMakesNoMinuteDirty(t *testing.T) {
	l := newLedger(t)
	l.seal(l.start, 10)
	before := click.WindowOf(l.start.Start().Add(-3 * time.Hour))
	for _, w := range []click.Window{l.start, before} {
		l.must(l.conn.Exec(t.Context(), `INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, partition, offset, version)
			VALUES (?, 7, 71, ?, ?, 0, 500, 42)`, w.Start(), impressionText(1), w.Start()))
	}
	if dirty := l.dirty(); len(dirty) != 0 {
		t.Errorf("dirty are %v", dirty)
	}
	l.store(l.start, 7, 71, 2, 0, 11) // an ingester's
	if dirty := l.dirty(); !slices.Equal(dirty, []click.Due{{Window: l.start, Reason: click.LateFlush, Late: 2}}) {
		t.Errorf("dirty are %v", dirty)
	}
}
