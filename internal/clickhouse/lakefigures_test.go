package clickhouse

import (
	"testing"

	"clickledger/internal/click"
)

func (r lakeRig) rebuild(snapshot click.LakeSnapshot, plan click.LakePlan) uint64 {
	r.t.Helper()
	tallies, restated, err := r.RebuildFigures(r.t.Context(), snapshot, plan, click.RepairFlush, quiet)
	r.must(err)
	var seals []click.Seal
	for _, w := range snapshot.Span().Minutes {
		if tally := tallies[w]; !tally.Agrees() {
			r.t.Errorf("the tally of %s disagrees: %+v", w, tally)
		}
		seals = append(seals, click.Seal{Snapshot: snapshot.Span().Of(w), Clicks: tallies[w].Distinct, Rows: tallies[w].Rows, Reason: "repair"})
	}
	r.must(r.SealSpan(r.t.Context(), seals))
	return restated
}

// The raw clicks are gone; what was told is judged by the lake, and made anew
// from it.
func TestFiguresWithoutClicksAreRebuiltFromTheLake(t *testing.T) {
	r := newLakeRig(t)
	s := small(at(1, 5, 10), at(2, 5, 20), at(1, 7, 30), at(3, 8, 40))
	lake := r.archive(s)
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	snapshot.FiguresOnly = true
	first, last := click.WindowOf(at(1, 5, 10).ClickedAt), click.WindowOf(at(3, 8, 40).ClickedAt)
	if c := r.compare(snapshot, plan); c.Lake != 3 || c.WrongFigures != 4 || c.ToRepair() != 0 || len(c.Minutes) != 2 {
		t.Errorf("an empty store is %+v", c)
	}
	if restated := r.rebuild(snapshot, plan); restated != 0 {
		t.Errorf("restated %d figures of minutes that were never final here", restated)
	}
	r.expect("figures", r.figures(first), "7/0=2", "7/71=2")
	r.expect("figures", r.figures(last), "7/0=1", "7/71=1")
	if c := r.compare(snapshot, plan); !c.Agrees() || c.Figures != 3 {
		t.Errorf("after it was rebuilt it is %+v", c)
	}
	version, err := r.NextVersion(t.Context())
	r.must(err)
	r.must(r.conn.Exec(t.Context(), "INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version) VALUES (7, 71, ?, 9, ?), (7, 72, ?, 2, ?)",
		first.Start(), version, last.Start(), version))
	snapshot, plan = r.snapshotOf(lake, s.hour, s.committed)
	snapshot.FiguresOnly = true
	if c := r.compare(snapshot, plan); c.WrongFigures != 2 || c.Places != 2 {
		t.Errorf("figures that were changed are %+v", c)
	}
	for _, want := range []uint64{2, 2} { // the same snapshot again: the same rows
		if restated := r.rebuild(snapshot, plan); restated != want {
			t.Errorf("restated %d figures, want %d", restated, want)
		}
	}
	r.expect("figures", r.figures(first), "7/0=2", "7/71=2")
	r.expect("restatements", r.restatements(first), "7/71:9>2")
	r.expect("restatements", r.restatements(last), "7/72:2>0")
	r.expect("clicks", r.strings("SELECT toString(impression_id) FROM clicks"))
	plan.Holes = []click.Hole{{Partition: 0, OffsetSpan: click.OffsetSpan{First: 50, Next: 60}}}
	version, err = r.NextVersion(t.Context())
	r.must(err)
	r.must(r.conn.Exec(t.Context(), "INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version) VALUES (7, 71, ?, 3, ?), (7, 0, ?, 3, ?)",
		first.Start(), version, first.Start(), version))
	if c := r.compare(snapshot, plan); !c.Agrees() {
		t.Errorf("a figure that may have counted what the lake has lost is %+v", c)
	}
}
