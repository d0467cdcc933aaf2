package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/stacktest/shards"
)

// Of two shards the first, which is home, has advertiser 7, the other one 9:
// cityHash64 of a whole number is the same on every machine.
const (
	onHome, onOther = int64(7), int64(9)
	otherShard      = 1 // its number
	earlierAgo      = 48 * time.Hour
)

// shardedLedger is a ledger on two servers of its own, with a day that is
// flushed, corrected and rolled up, and a minute that is not sealed. Both
// advertisers have the same of everything.
type shardedLedger struct {
	ledger
	shards   *shards.Shards
	day      click.Day
	past     []click.Window // of that day
	fresh    click.Window
	reported time.Time // after the first flush, before the correction
	sealed   time.Time
}

func newShardedLedger(t *testing.T, servers *shards.Shards, count int) shardedLedger {
	t.Helper()
	s := shardedLedger{
		ledger: newLedgerOn(t, servers.Config(t, count), click.WindowOf(time.Now().Add(-earlierAgo))), shards: servers,
		day: click.DayOf(time.Now().Add(-24 * time.Hour)), fresh: click.WindowOf(time.Now()),
	}
	for i := range 2 {
		s.past = append(s.past, click.WindowOf(s.day.Start().Add(time.Duration(600+i)*time.Minute)))
	}
	for _, w := range append(s.past, s.fresh) {
		s.clickBoth(w, 1, 2)
	}
	for _, w := range s.past {
		if restated := s.flush(s.snapshot(w, 100, 100)); restated > 0 {
			t.Fatalf("a first flush restated %d figures", restated)
		}
	}
	version, err := s.NextVersion(t.Context())
	s.must(err)
	s.reported = time.UnixMicro(int64(version))
	s.clickBoth(s.past[0], 103)
	due, err := s.DirtyWindows(t.Context(), s.start, s.fresh, 10)
	if want := []click.Due{{Window: s.past[0], Reason: click.LateFlush, Late: 2}}; err != nil || !slices.Equal(due, want) {
		t.Fatalf("dirty are %v, want %v: %v", due, want, err)
	}
	if restated := s.flush(s.snapshot(s.past[0], 200, 200)); restated != 4 {
		t.Fatalf("restated %d figures, want an ad and a total of each advertiser", restated)
	}
	s.rollUpDay()
	s.notCounted()
	s.sealed = s.day.End()
	return s
}

// clickBoth stores clicks of both advertisers, at offsets, in partitions that
// have nothing to do with their shards.
func (s shardedLedger) clickBoth(w click.Window, offsets ...int) {
	s.t.Helper()
	s.must(s.InsertClicks(s.t.Context(), s.placedBoth(w, offsets...)))
}

func (s shardedLedger) placedBoth(w click.Window, offsets ...int) []click.Placed {
	s.t.Helper()
	var clicks []click.Placed
	for _, offset := range offsets {
		for i, advertiser := range []int64{onHome, onOther} {
			c := placedClick(s.t, w.Start(), w.Start(), int64(offset))
			c.AdvertiserID, c.AdID, c.Partition = advertiser, advertiser*10, int32((i+offset)%2)
			clicks = append(clicks, c)
		}
	}
	return clicks
}

func (s shardedLedger) rollUpDay() {
	s.t.Helper()
	versions, err := s.MinuteVersions(s.t.Context(), s.day)
	s.must(err)
	version, err := s.NextVersion(s.t.Context())
	s.must(err)
	for _, step := range []click.Rollup{{From: click.PerMinute, To: click.PerHour}, {From: click.PerHour, To: click.PerDay}} {
		span := click.RollupSpan{Rollup: step, First: s.day, Next: click.DayOf(s.day.End()), Version: version}
		s.must(s.RollUp(s.t.Context(), span))
		tally, err := s.VerifyRollup(s.t.Context(), span)
		if err != nil || !tally.Agrees() || tally.Ads != 10 {
			s.t.Fatalf("rolled up %+v: %v", tally, err)
		}
		var seen []uint64
		if step.To == click.PerHour {
			seen = versions
		}
		s.must(s.RecordRollup(s.t.Context(), click.Rolled{
			Level: step.To, First: s.day, Version: version, Parts: 1, Newest: slices.Max(versions), Clicks: tally.Ads, Rows: tally.Rows,
		}, seen))
	}
}

// notCounted stores a duplicate of each advertiser, and a copy of a counted
// click, which is none.
func (s shardedLedger) notCounted() {
	s.t.Helper()
	var entries []click.Filtered
	for i, c := range s.placedBoth(s.fresh, 3) {
		s.must(s.InsertClicks(s.t.Context(), []click.Placed{c}))
		copied := click.Filtered{Window: s.fresh, AdvertiserID: c.AdvertiserID, AdID: c.AdID, Reason: click.Duplicate, Count: 1, ID: c.Arrival, Arrival: true}
		duplicate := copied
		duplicate.ID = click.NewArrivalID(4, uint64(i))
		entries = append(entries, copied, duplicate)
	}
	s.must(s.InsertFiltered(s.t.Context(), entries))
}

// told is everything a report of an advertiser can tell.
func (s shardedLedger) told(ctx context.Context, advertiser int64) ([]string, error) {
	var told []string
	var faults []error
	tell := func(what string, err error, values ...any) {
		told = append(told, fmt.Sprintf("%s %+v", what, values))
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
	}
	day := ReportQuery{AdvertiserID: advertiser, From: s.day.Start(), To: s.day.End(), Starts: []time.Time{s.day.Start()}, RowsMax: 100}
	minutes := ReportQuery{AdvertiserID: advertiser, From: s.past[0].Start(), To: s.past[1].End(), ByAd: true, RowsMax: 100}
	fresh := ReportQuery{AdvertiserID: advertiser, From: s.fresh.Start(), To: s.fresh.End(), RowsMax: 100}
	for _, q := range []ReportQuery{day, minutes} {
		figures, restated, err := s.SealedFigures(ctx, q)
		tell("sealed", err, figures, restated)
		for _, at := range []time.Time{s.reported, time.Now()} {
			figures, restated, err = s.FiguresAsOf(ctx, q, at)
			tell("as of", err, figures, restated)
			ads, err := s.ReportedAdsAsOf(ctx, q, at, 0)
			tell("ads as of", err, ads)
		}
	}
	figures, err := s.FreshFigures(ctx, fresh)
	tell("fresh", err, figures)
	filtered, err := s.FilteredFigures(ctx, fresh)
	tell("filtered", err, filtered)
	whole := day
	whole.To = s.fresh.End()
	top, restated, err := s.TopAds(ctx, whole, s.sealed)
	tell("top", err, top, restated)
	ads, err := s.ReportedAds(ctx, whole, s.sealed, s.day.Start(), 0)
	tell("ads", err, ads)
	corrections, err := s.Corrections(ctx, CorrectionsQuery{AdvertiserID: advertiser, From: s.day.Start(), To: s.day.End(), Since: s.reported, AsOf: time.Now(), RowsMax: 100})
	tell("corrections", err, corrections)
	live := LiveQuery{Sums: []int64{advertiser}, ByAd: []int64{advertiser}, Ads: [][2]int64{{advertiser, advertiser * 10}}, From: s.fresh.Start(), To: s.fresh.End(), FiguresMax: 10}
	watched, err := s.LiveFresh(ctx, live)
	tell("watched fresh", err, sorted(watched))
	live.From, live.To = s.past[0].Start(), s.past[1].End()
	watched, err = s.LiveSealed(ctx, live)
	tell("watched sealed", err, sorted(watched))
	watched, err = s.LiveRestated(ctx, live)
	tell("watched restated", err, sorted(watched))
	watched, err = s.LiveAnnounced(ctx, []int64{advertiser}, live.From, live.To)
	tell("watched announced", err, sorted(watched))
	if advertiser == onHome && len(faults) == 0 && (figures[0].Clicks != 3 || filtered[0].ByReason[0] != 1 || len(corrections) != 1 || top[0].Clicks != 8) {
		s.t.Errorf("told is %q", told)
	}
	return told, errors.Join(faults...)
}

func sorted(figures []LiveFigure) []LiveFigure {
	slices.SortFunc(figures, func(a, b LiveFigure) int {
		return slices.Compare([]int64{a.AdID, a.Minute.Unix()}, []int64{b.AdID, b.Minute.Unix()})
	})
	return figures
}

// everything is what asks for all advertisers, or writes of all.
func (s shardedLedger) everything(t *testing.T) map[string]func() error {
	snapshot, ctx := s.snapshot(s.fresh, 100, 100), t.Context()
	span := click.SpanSnapshot{Minutes: s.past, Checked: snapshot.Checked, Version: snapshot.Version, TopicID: snapshot.TopicID}
	both := LiveQuery{Sums: []int64{onHome, onOther}, From: s.fresh.Start(), To: s.fresh.End()}
	batch := s.placedBoth(s.fresh, 50)
	return map[string]func() error{
		"insert clicks":     func() error { return s.InsertClicks(ctx, batch) },
		"ask for readiness": func() error { return s.CheckClicks(ctx) },
		"stored already":    func() error { _, err := s.StoredAmong(ctx, batch, 24*time.Hour); return err },
		"stream": func() error {
			return s.StreamImpressions(ctx, s.day.Start(), func([]click.ImpressionID) error { return nil })
		},
		"flush":            func() error { _, err := s.AggregateWindow(ctx, snapshot, false, click.FirstFlush); return err },
		"flush again":      func() error { _, err := s.AggregateWindow(ctx, snapshot, true, click.LateFlush); return err },
		"verify":           func() error { _, err := s.VerifyWindow(ctx, snapshot); return err },
		"flush many":       func() error { _, err := s.AggregateSpan(ctx, span, click.BackfillFlush, quiet); return err },
		"verify many":      func() error { _, err := s.VerifySpan(ctx, span, quiet); return err },
		"find dirty":       func() error { _, err := s.DirtyWindows(ctx, s.start, s.fresh, 10); return err },
		"find hot ads":     func() error { _, _, err := s.LoadOfAds(ctx, s.day.Start(), 1); return err },
		"export":           func() error { return s.EachRestatement(ctx, func(click.Restatement) error { return nil }) },
		"count for export": func() error { _, err := s.RowsOf(ctx, click.ExportRestatements); return err },
		"is empty": func() error {
			_, err := s.SpanIsEmpty(ctx, s.start, click.WindowOf(s.start.Start().Add(time.Hour)))
			return err
		},
		"watch both": func() error { _, err := s.LiveFresh(ctx, both); return err },
		"roll up": func() error {
			return s.RollUp(ctx, click.RollupSpan{Rollup: click.Rollup{From: click.PerMinute, To: click.PerHour}, First: s.day, Next: click.DayOf(s.day.End()), Version: snapshot.Version})
		},
		"verify a rollup": func() error {
			_, err := s.VerifyRollup(ctx, click.RollupSpan{Rollup: click.Rollup{From: click.PerHour, To: click.PerDay}, First: s.day, Next: click.DayOf(s.day.End()), Version: snapshot.Version})
			return err
		},
	}
}

// atHome is what is asked of the home shard only.
func (s shardedLedger) atHome(t *testing.T) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"version":        func() error { _, err := s.NextVersion(ctx); return err },
		"ledger's start": func() error { _, err := s.LedgerStart(ctx); return err },
		"sealed":         func() error { _, err := s.SealedThrough(ctx); return err },
		"unsealed":       func() error { _, err := s.UnsealedWindows(ctx, s.start, s.fresh); return err },
		"seal": func() error {
			return s.SealWindow(ctx, click.Seal{Snapshot: click.Snapshot{Window: s.fresh, Version: 1}})
		},
		"topic":       func() error { _, err := s.LedgerTopic(ctx); return err },
		"ad":          func() error { _, err := s.Ad(ctx, 1); return err },
		"ads":         func() error { _, err := s.AdsOf(ctx, onOther, 0, 10); return err },
		"changed ads": func() error { _, _, err := s.AdChanges(ctx, time.Time{}, time.Minute); return err },
		"advertiser":  func() error { _, err := s.AdvertiserExists(ctx, onOther); return err },
		"key":         func() error { _, err := s.APIKey(ctx, 1); return err },
		"keys":        func() error { _, err := s.APIKeys(ctx, 0, 0, 10); return err },
		"hot ads":     func() error { _, err := s.HotAds(ctx); return err },
		"rollups":     func() error { _, err := s.Rollups(ctx, s.day, click.DayOf(s.day.End())); return err },
		"reconciled":  func() error { _, err := s.Reconciled(ctx); return err },
		"staged ads":  func() error { return s.DropStagedAds(ctx, "none") },
	}
}

func wantUnavailable(t *testing.T, when string, questions map[string]func() error) {
	t.Helper()
	for what, ask := range questions {
		err := ask()
		if what == "insert clicks" && err != nil && !errors.Is(err, click.ErrRejected) {
			continue // whatever else it is, it is tried again
		}
		if !errors.Is(err, click.ErrUnavailable) {
			t.Errorf("%s: %s: %v", when, what, err)
		}
	}
}

func (s shardedLedger) looksAtBoth(t *testing.T) {
	parts, err := s.lookAtParts(t.Context())
	s.must(err)
	seen := map[string]bool{}
	for _, p := range parts {
		seen[fmt.Sprint(p.table, " ", p.shard)] = true
	}
	for _, want := range []string{"restatements 1", "restatements 2", "clicks_filtered 1", "clicks_filtered 2"} {
		if !seen[want] {
			t.Errorf("no part of %s is seen: %+v", want, parts)
		}
	}
}

func TestAStoreOfTwoShards(t *testing.T) {
	s := newShardedLedger(t, shards.Start(t, 2, 2), 2)
	t.Run("each advertiser is on one shard, whole", s.areApart)
	want := map[int64][]string{}
	for _, advertiser := range []int64{onHome, onOther} {
		told, err := s.told(t.Context(), advertiser)
		s.must(err)
		want[advertiser] = told
	}
	everything := s.everything(t)
	t.Run("a look at parts sees those of both", s.looksAtBoth)

	if err := s.killedInTheMiddle(t); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("a shard was killed in the middle of its answer: %v", err)
	}
	if told, err := s.told(t.Context(), onHome); err != nil || !reflect.DeepEqual(told, want[onHome]) {
		t.Errorf("with the other shard away there is told\n%q, want\n%q: %v", told, want[onHome], err)
	}
	if _, err := s.told(t.Context(), onOther); !allUnavailable(err) {
		t.Errorf("of the shard that is away there is told: %v", err)
	}
	wantUnavailable(t, "with the other shard away", everything)
	if err := s.Ping(t.Context()); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("with the other shard away all is said to be well: %v", err)
	}
	s.shards.Revive(t, otherShard)

	t.Run("what half landed counts once", func(t *testing.T) {
		for range 2 {
			s.must(everything["insert clicks"]())
		}
		s.flush(s.snapshot(s.fresh, 100, 100))
		s.expect("figures", s.figures(s.fresh), "7/0=4", "7/70=4", "9/0=4", "9/90=4")
	})

	s.shards.Kill(t, 0)
	wantUnavailable(t, "with the home shard away", s.atHome(t))
	s.shards.Revive(t, 0)
	if told, err := s.told(t.Context(), onOther); err != nil || len(told) != len(want[onOther]) {
		t.Errorf("with all shards back: %v", err)
	}
	for what, ask := range s.atHome(t) {
		if err := ask(); err != nil && !errors.Is(err, click.ErrNotFound) && what != "ad" { // there are none: that is unavailable
			t.Errorf("with the home shard back: %s: %v", what, err)
		}
	}
}

// killedInTheMiddle kills the other shard once it is at work at an answer.
func (s shardedLedger) killedInTheMiddle(t *testing.T) error {
	answer := make(chan error, 1)
	go func() {
		var rows uint64
		answer <- readError("count slowly", s.conn.QueryRow(t.Context(), "SELECT sum(sleepEachRow(1)) FROM clicks WHERE advertiser_id = ?", onOther).Scan(&rows))
	}()
	other := s.config
	other.ClickHouseAddrs = s.shards.Addrs()[otherShard:]
	server, err := Open(other)
	s.must(err)
	for begun := uint64(0); begun == 0; {
		s.must(server.conn.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%clicks_local%' AND is_initial_query = 0").Scan(&begun))
	}
	s.must(server.Close())
	s.shards.Kill(t, otherShard)
	return <-answer
}

// allUnavailable reports whether every one of joined errors is that.
func allUnavailable(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	return ok && !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !errors.Is(err, click.ErrUnavailable) })
}

// areApart looks at each server's own tables.
func (s shardedLedger) areApart(t *testing.T) {
	for i, advertiser := range []int64{onHome, onOther} {
		shard := s.config
		shard.ClickHouseAddrs = s.shards.Addrs()[i : i+1]
		server, err := Open(shard)
		s.must(err)
		for _, table := range []string{"clicks", "clicks_filtered", "restatements", "clicks_per_minute", "clicks_per_hour", "clicks_per_day"} {
			var own, others uint64
			s.must(server.conn.QueryRow(t.Context(), "SELECT countIf(advertiser_id = ?), countIf(advertiser_id != ?) FROM "+table+"_local", advertiser, advertiser).Scan(&own, &others))
			if own == 0 || others > 0 {
				t.Errorf("shard %d has %d rows of its advertiser in %s, and %d of others", i, own, table, others)
			}
		}
		s.must(server.Close())
	}
}
