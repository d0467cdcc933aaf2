package clickhouse_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// settledRig is a store with one day that is rolled up.
type settledRig struct {
	t     *testing.T
	c     config.Config
	store *clickhouse.Store
	day   click.Day
}

func newSettledRig(t *testing.T, cacheBytes uint64) *settledRig {
	t.Helper()
	c := stacktest.Config(t)
	c.ReportCacheBytesMax = cacheBytes
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	r := &settledRig{t: t, c: c, day: click.DayOf(reportDay).Add(-1)}
	for _, ad := range []int{0, 71} {
		r.figure("minute", ad, r.day.Start().Add(time.Hour), 5, 50)
		r.figure("hour", ad, r.day.Start().Add(time.Hour), 5, 100)
		r.figure("day", ad, r.day.Start(), 5, 200)
	}
	r.rolledUp("hour", 100, 0, 50)
	r.rolledUp("day", 200, 100, 50)
	r.store = opened(t, c)
	return r
}

func (r *settledRig) do(statement string, args ...any) {
	r.t.Helper()
	execute(r.t, r.c, []string{fmt.Sprintf(statement, args...)})
}

func (r *settledRig) figure(level string, ad int, at time.Time, clicks, version int) {
	r.t.Helper()
	r.do("INSERT INTO clicks_per_%s VALUES (7, %d, %d, %d, %d)", level, ad, at.Unix(), clicks, version)
}

// rolledUp enters a step in the ledger that had seen a version of each minute.
func (r *settledRig) rolledUp(level string, version, parts, seen int) {
	r.t.Helper()
	r.do("INSERT INTO rollups (level, first, version, parts, newest, clicks, rows, seen) VALUES ('%s', '%s', %d, %d, %d, 5, 1, arrayWithConstant(1440, %d))",
		level, r.day, version, parts, seen, seen)
}

// answers are the clicks of the day in all ways that it can be asked for, and
// whether they are said to be restated, for who asked at a time: zero for now.
func (r *settledRig) answers(asked time.Time, only ...string) (got map[string]uint64, restated map[string]bool) {
	r.t.Helper()
	whole := clickhouse.ReportQuery{AdvertiserID: 7, From: r.day.Start(), To: r.day.Add(1).Start(), Starts: []time.Time{r.day.Start()}, RowsMax: 2_000, Asked: asked}
	byMinute, byAd, oneAd, hours, halves := whole, whole, whole, whole, whole
	byMinute.Starts, byAd.ByAd, oneAd.AdIDs = nil, true, []int64{71}
	hours.Starts = []time.Time{r.day.Start(), r.day.Start().Add(2 * time.Hour)}
	halves.Starts = []time.Time{r.day.Start(), r.day.Start().Add(90 * time.Minute)}
	got, restated = map[string]uint64{}, map[string]bool{}
	for name, q := range map[string]clickhouse.ReportQuery{"sum": whole, "minutes": byMinute, "by ad": byAd, "one ad": oneAd, "hours": hours, "half hours": halves} {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		figures, points, err := r.store.SealedFigures(r.t.Context(), q)
		if err != nil || len(figures) != 1 {
			r.t.Fatalf("%s: %v, %v", name, figures, err)
		}
		got[name], restated[name] = figures[0].Clicks, len(points) > 0
	}
	if len(only) > 0 {
		return got, restated
	}
	top, points, err := r.store.TopAds(r.t.Context(), whole, r.day.Add(1).Start())
	if err != nil || len(top) != 1 {
		r.t.Fatalf("top ads: %v, %v", top, err)
	}
	got["top ads"], restated["top ads"] = top[0].Clicks, len(points) > 0
	return got, restated
}

func (r *settledRig) want(when string, restated bool, want map[string]uint64) {
	r.t.Helper()
	got, said := r.answers(time.Time{})
	for name := range got {
		if said[name] != restated {
			r.t.Errorf("%s, %s is said to be restated: %v", when, name, said[name])
		}
		if expected, ok := want[name]; ok && got[name] != expected || !ok && got[name] != want[""] {
			r.t.Errorf("%s, %s: %d clicks; want %v", when, name, got[name], want)
		}
	}
}

// changeAll writes other figures to every table, as nobody may without a word.
func (r *settledRig) changeAll() {
	r.t.Helper()
	for _, ad := range []int{0, 71} {
		r.figure("minute", ad, r.day.Start().Add(time.Hour), 6, 60)
		r.figure("hour", ad, r.day.Start().Add(time.Hour), 7, 300)
		r.figure("day", ad, r.day.Start(), 8, 400)
	}
}

// awaitSum waits until the ledger is looked at again.
func (r *settledRig) awaitSum(clicks uint64) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got, _ := r.answers(time.Time{}); got["sum"] == clicks {
			return
		}
	}
}

// Who asked long ago may be told what was so then, but no figure that came later
// as one that was final.
func TestANewFigureIsNotCalledFinalToWhoAskedBefore(t *testing.T) {
	for _, name := range []string{"sum", "minutes", "by ad", "one ad", "half hours"} {
		t.Run(name, func(t *testing.T) { newFigureIsNotCalledFinal(t, name) })
	}
}

func newFigureIsNotCalledFinal(t *testing.T, name string) {
	t.Helper()
	r := newSettledRig(t, 1<<20)
	asked := time.Now()
	for range 2 {
		if got, restated := r.answers(asked, name); got[name] != 5 || restated[name] {
			t.Errorf("told is %v, restated %v", got, restated)
		}
	}
	r.do("INSERT INTO restatements VALUES (7, 0, %[1]d, 50, fromUnixTimestamp64Micro(70), 5, 9, 'late'), (7, 71, %[1]d, 50, fromUnixTimestamp64Micro(70), 5, 9, 'late')", r.day.Start().Add(time.Hour).Unix())
	for _, ad := range []int{0, 71} {
		r.figure("minute", ad, r.day.Start().Add(time.Hour), 9, 70)
		r.figure("hour", ad, r.day.Start().Add(time.Hour), 9, 300)
		r.figure("day", ad, r.day.Start(), 9, 400)
	}
	r.rolledUp("hour", 300, 0, 70)
	r.rolledUp("day", 400, 300, 70)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		got, restated := r.answers(asked, name)
		if got[name] != 5 && !restated[name] {
			t.Fatalf("%d clicks are said to be final", got[name])
		}
		if got[name] == 9 {
			return
		}
	}
	t.Error("the new figure is never told")
}

func TestSettledFiguresAreReadOnceUntilTheirVersionsOrAChangeSayOtherwise(t *testing.T) {
	r := newSettledRig(t, 1<<20)
	r.want("read", false, map[string]uint64{"": 5})
	r.changeAll()
	r.want("remembered", false, map[string]uint64{"": 5})

	// Rolled up anew: the ledger is looked at every two seconds.
	r.rolledUp("hour", 300, 0, 50)
	r.rolledUp("day", 400, 300, 50)
	r.awaitSum(8)
	r.want("rolled up anew", false, map[string]uint64{"": 8, "minutes": 6, "hours": 7, "half hours": 6})

	// A change is announced, and made later: until then the minutes are as they were.
	r.do("INSERT INTO restatements VALUES (7, 0, %[1]d, 60, fromUnixTimestamp64Micro(70), 6, 9, 'late'), (7, 71, %[1]d, 60, fromUnixTimestamp64Micro(70), 6, 9, 'late')", r.day.Start().Add(time.Hour).Unix())
	r.want("announced", true, map[string]uint64{"": 6})
	for _, ad := range []int{0, 71} {
		r.figure("minute", ad, r.day.Start().Add(time.Hour), 9, 70)
	}
	r.want("changed", true, map[string]uint64{"": 9})
}

func TestWithoutACacheFiguresAreReadEachTime(t *testing.T) {
	r := newSettledRig(t, 0)
	r.want("read", false, map[string]uint64{"": 5})
	r.changeAll()
	r.want("read again", false, map[string]uint64{"": 8, "minutes": 6, "hours": 7, "half hours": 6})
}

func TestMoreAdsThanAreRememberedAreAddedUpByTheStore(t *testing.T) {
	r := newSettledRig(t, 400) // one figure: an eighth of three quarters
	r.figure("day", 72, r.day.Start(), 3, 200)
	for range 2 {
		top, _, err := r.store.TopAds(t.Context(), clickhouse.ReportQuery{AdvertiserID: 7, From: r.day.Start(), To: r.day.Add(1).Start(), RowsMax: 10}, r.day.Add(1).Start())
		wantFigures(t, top, err, clickhouse.Figure{AdID: 71, Start: r.day.Start(), Clicks: 5}, clickhouse.Figure{AdID: 72, Start: r.day.Start(), Clicks: 3})
	}
}
