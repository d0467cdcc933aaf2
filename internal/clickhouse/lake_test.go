package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"clickledger/internal/click"
)

// small is a stream of one partition that begins at offset 0.
func small(clicks ...click.Appended) *stream {
	hour := click.HourOf(time.Now().Add(-12 * time.Hour))
	return &stream{
		random: rand.New(rand.NewPCG(1, 1)), hour: hour, partitions: 1, before: 1, records: [][]click.Appended{clicks}, first: click.Offsets{0},
		archivedAt: click.HourEnd(hour).Start().Add(3 * click.ArchiveLength), committed: click.Offsets{1000},
	}
}

// at is a click of an impression in a minute of the hour, appended at once.
func at(impression, minute int, offset int64) click.Appended {
	hour := click.HourOf(time.Now().Add(-12 * time.Hour)).Start()
	var seed [32]byte
	seed[0] = byte(impression)
	id, _ := click.NewImpressionID(hour.Add(-time.Minute), rand.NewChaCha8(seed))
	clicked := hour.Add(time.Duration(minute) * time.Minute)
	return click.Appended{AppendedAt: clicked, Placed: click.Placed{
		Click: click.Click{AdvertiserID: 7, AdID: 71, Impression: id, ClickedAt: clicked, Arrival: click.NewArrivalID(1, uint64(offset))}, Position: click.Position{Offset: offset},
	}}
}

func placed(clicks ...click.Appended) []click.Placed {
	all := make([]click.Placed, len(clicks))
	for i, c := range clicks {
		all[i] = c.Placed
	}
	return all
}

// expectRepair compares, repairs, and compares again.
func (r lakeRig) expectRepair(what string, s *stream, lake click.Lake, missing, surplus, inserted uint64, agrees bool) {
	r.t.Helper()
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	if c := r.compare(snapshot, plan); c.Missing != missing || c.Surplus != surplus {
		r.t.Errorf("%s: %d are missing and %d too much, want %d and %d", what, c.Missing, c.Surplus, missing, surplus)
	}
	did, deleted, err := r.RepairClicks(r.t.Context(), snapshot, plan, quiet)
	r.must(err)
	if did != inserted || deleted != surplus {
		r.t.Errorf("%s: inserted %d and deleted %d, want %d and %d", what, did, deleted, inserted, surplus)
	}
	if c := r.compare(snapshot, plan); c.Agrees() != agrees {
		r.t.Errorf("%s: after the repair it is %+v", what, c)
	}
}

func TestWhatCountsByAClickInAHoleIsNotInsertedAgain(t *testing.T) {
	r := newLakeRig(t)
	for name, one := range map[string]struct {
		stored  []click.Placed
		surplus uint64
	}{
		"the lake has a repeat":         {placed(at(1, 5, 10), at(2, 6, 30)), 0},
		"and the repeat is stored, too": {placed(at(1, 5, 10), at(1, 9, 20), at(2, 6, 30)), 1},
		"so it is with two of them":     {placed(at(1, 9, 20), at(2, 7, 10)), 0},
	} {
		r.empty()
		s := small(at(0, 1, 1), at(1, 5, 10), at(1, 9, 20), at(2, 6, 30))
		s.holes = []click.Hole{{Partition: 0, OffsetSpan: click.OffsetSpan{First: 10, Next: 11}}}
		lake := r.archive(s)
		if len(lake.Plan(s.hour, click.HourEnd(s.hour), oracleValidity).Holes) != 1 {
			t.Fatal("the lake has no hole")
		}
		r.must(r.InsertClicks(t.Context(), append(one.stored, at(0, 1, 1).Placed)))
		r.expectRepair(name, s, lake, 0, one.surplus, 0, true)
	}
}

func TestAMissingClickWaitsWhileANewerOneOfItsImpressionIsNotArchived(t *testing.T) {
	r := newLakeRig(t)
	s := small(at(1, 5, 10), at(2, 6, 30), at(1, 20, 50))
	s.committed = click.Offsets{40}
	lake := r.archive(s)
	r.must(r.InsertClicks(t.Context(), placed(at(2, 6, 30), at(1, 20, 50))))
	r.expectRepair("not archived", s, lake, 1, 0, 0, false)
	s.committed = click.Offsets{60}
	r.expectRepair("archived", s, lake, 1, 1, 1, true)
}

func TestAFigureIsJudgedByWhatItsSealHasRead(t *testing.T) {
	r := newLakeRig(t)
	s := small(at(1, 5, 10), at(2, 5, 20), at(3, 8, 30))
	lake := r.archive(s)
	r.must(r.InsertClicks(t.Context(), placed(s.records[0]...)))
	flushed, open := click.WindowOf(at(1, 5, 10).ClickedAt), click.WindowOf(at(3, 8, 30).ClickedAt)
	r.flush(r.snapshot(flushed, 20)) // it has not read offset 20 yet: the next tick's
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	if c := r.compare(snapshot, plan); !c.Agrees() || c.Figures != 1 || c.Lake != 3 {
		t.Errorf("a figure that is behind, and one that is not sealed: %+v", c)
	}
	change := func(w click.Window, ad int64, clicks uint64) {
		t.Helper()
		version, err := r.NextVersion(t.Context())
		r.must(err)
		r.must(r.conn.Exec(t.Context(), "INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version) VALUES (7, ?, ?, ?, ?)", ad, w.Start(), clicks, version))
	}
	change(open, 71, 9) // not sealed: nobody was told
	change(flushed, 71, 5)
	c := r.compare(snapshot, plan)
	if c.Places != 1 || c.WrongFigures != 1 || c.ToRepair() != 0 || len(c.Minutes) != 1 || c.Minutes[0].Minute != flushed || c.Minutes[0].Figures != 5 {
		t.Errorf("a figure that was changed: %+v", c)
	}
	change(flushed, 0, 6)
	change(flushed, 72, 1)
	if c := r.compare(snapshot, plan); c.Places != 3 || c.WrongFigures != 3 {
		t.Errorf("a total that was changed, and a figure of nothing: %+v", c)
	}
	r.flush(r.snapshot(flushed, 1000))
	if c := r.compare(snapshot, plan); !c.Agrees() {
		t.Errorf("after the flush: %+v", c)
	}
}

func TestWhatDiffersIsRecordedWithSamplesOnceForEachPass(t *testing.T) {
	r := newLakeRig(t)
	var clicks []click.Appended
	for n := range 9 {
		clicks = append(clicks, at(n, 5, int64(10+n)))
	}
	s := small(clicks...)
	lake := r.archive(s)
	doubled := at(3, 6, 13).Placed
	r.must(r.InsertClicks(t.Context(), append(placed(clicks[:2]...), doubled)))
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	r.compare(snapshot, plan)
	c := r.compare(snapshot, plan) // an attempt whose answer was lost
	if c.Missing != 7 || c.Surplus != 1 || c.Places != 2 || len(c.Minutes) != 2 {
		t.Errorf("the comparison is %+v", c)
	}
	r.expect("discrepancies", r.strings(`SELECT concat(toString(toMinute(minute)), ' ', toString(advertiser_id), '/', toString(ad_id), ' ', toString((lake, store, figure, missing, surplus)), ' ',
		toString(length(missing_samples)), ' ', toString(length(surplus_samples))) FROM discrepancies FINAL WHERE run = 'run' AND pass = 1 ORDER BY minute`),
		"5 7/71 (9,2,0,7,0) 5 0", "6 7/71 (0,1,0,0,1) 0 1")
	r.expect("sample of what is too much", r.strings("SELECT toString(surplus_samples[1]) FROM discrepancies FINAL WHERE surplus = 1"), doubled.Impression.String())
}

func TestTheLakesSecretIsNowhereToBeRead(t *testing.T) {
	r := newLakeRig(t)
	s := small(at(1, 5, 10))
	lake := r.archive(s)
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	r.compare(snapshot, plan)
	r.must(r.lake.RemoveObject(t.Context(), plan.Candidates[0].Path))
	_, err := r.CompareLake(t.Context(), snapshot, plan, "", 1, quiet)
	if err == nil || strings.Contains(err.Error(), r.config.S3SecretKey) || !strings.Contains(err.Error(), plan.Candidates[0].Path) {
		t.Errorf("an object that is not there is told as: %v", err)
	}
	r.must(r.conn.Exec(t.Context(), "SYSTEM FLUSH LOGS query_log"))
	var queries, told uint64
	r.must(r.conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(), countIf(position(concat(query, exception, toString(Settings)), '%s') > 0) FROM system.query_log
		WHERE query_id LIKE 'reconcile/%s/%%' AND position(query, 's3(') > 0`, r.config.S3SecretKey, r.database)).Scan(&queries, &told))
	if queries == 0 || told > 0 {
		t.Errorf("of %d queries in the server's log %d have the secret", queries, told)
	}
}

func TestAnEmptySpanIsBroughtBackAndToldOfLikeACounted(t *testing.T) {
	r := newLakeRig(t)
	s := small(at(1, 5, 10), at(2, 5, 20), at(1, 7, 30), at(3, 8, 40))
	lake := r.archive(s)
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	empty := func(want bool) {
		t.Helper()
		if got, err := r.SpanIsEmpty(t.Context(), snapshot.From, snapshot.To); err != nil || got != want {
			t.Errorf("the span is empty: %v, %v", got, err)
		}
	}
	empty(true)
	counted := r.compare(snapshot, plan)
	const told = "SELECT toString((minute, advertiser_id, ad_id, lake, store, figure, missing, surplus, missing_samples, surplus_samples)) FROM discrepancies FINAL ORDER BY minute"
	want := r.strings(told)
	r.must(r.conn.Exec(t.Context(), "TRUNCATE TABLE discrepancies_local"))
	for range 2 { // an attempt whose answer was lost
		brought, err := r.BringBack(t.Context(), snapshot, plan, "run", quiet)
		if err != nil || !reflect.DeepEqual(brought, counted) {
			t.Errorf("brought back %+v, counted %+v: %v", brought, counted, err)
		}
	}
	r.expect("discrepancies", r.strings(told), want...)
	empty(false)
	if c := r.compare(snapshot, plan); !c.Agrees() || c.Store != 3 {
		t.Errorf("afterwards it is %+v", c)
	}
}
