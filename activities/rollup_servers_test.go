package activities_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/stacktest"
)

// The days of the test: a whole month, with the weeks that reach beyond it. The
// ledger begins in the first of them, and nothing after the last is sealed.
func rollupFirst() time.Time { return time.Date(2026, 9, 29, 10, 0, 0, 0, time.UTC) }
func rollupLast() time.Time  { return time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC) }

// rollupRig is a store with five weeks of sealed minutes.
type rollupRig struct {
	t      *testing.T
	store  *clickhouse.Store
	conn   clickhousego.Conn
	rollup *activities.Rollup
	env    *testsuite.TestActivityEnvironment
	// minutes is what the minutes say: by ad, 0 for the total, of advertiser 7.
	minutes map[int64]map[time.Time]uint64
	asked   []clickhouse.ReportQuery
}

func newRollupRig(t *testing.T, random *rand.Rand) *rollupRig {
	t.Helper()
	c := stacktest.Config(t)
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	store, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	conn, err := clickhousego.Open(&clickhousego.Options{Addr: c.ClickHouseAddrs,
		Auth:     clickhousego.Auth{Database: c.Database(), Username: c.ClickHouseUser, Password: c.ClickHousePassword},
		Settings: clickhousego.Settings{"distributed_foreground_insert": 1, "async_insert": 0, "max_partitions_per_insert_block": 0}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	rig := &rollupRig{t: t, store: store, conn: conn, minutes: map[int64]map[time.Time]uint64{}}
	rig.rollup = &activities.Rollup{Ledger: store, Sums: store, MinutesKeptDays: 400, Now: func() time.Time { return rollupLast().Add(30 * time.Hour) }}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	rig.env = suite.NewTestActivityEnvironment()
	rig.env.RegisterActivity(rig.rollup)
	rig.fill(random.Uint32())
	return rig
}

func (r *rollupRig) exec(query string, args ...any) {
	r.t.Helper()
	if err := r.conn.Exec(r.t.Context(), query, args...); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
}

// fill writes figures of two advertisers and seals every minute, as flushes
// would have.
func (r *rollupRig) fill(seed uint32) {
	r.t.Helper()
	r.exec(`INSERT INTO clicks_per_minute
		SELECT 7 + intHash32(number + ?) % 2 AS advertiser, advertiser * 10 + intHash32(number * 3 + ?) % 4 AS ad,
		       toDateTime(?, 'UTC') + INTERVAL intHash64(number * 7 + ?) % ? MINUTE AS minute, 1 + number % 3, 1 FROM numbers(12000)`,
		seed, seed, rollupFirst().Unix(), seed, int(rollupLast().Sub(rollupFirst())/time.Minute))
	r.exec("INSERT INTO clicks_per_minute SELECT advertiser_id, 0, minute, sum(clicks), 1 FROM clicks_per_minute FINAL WHERE ad_id != 0 GROUP BY advertiser_id, minute")
	r.exec(`INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)
		SELECT minute, 2, 'SEALED', sum(counted), 0, 'first', '', []
		FROM (SELECT toDateTime(?, 'UTC') + INTERVAL number MINUTE AS minute, toUInt64(0) AS counted FROM numbers(?)
		      UNION ALL SELECT minute, clicks AS counted FROM clicks_per_minute FINAL WHERE ad_id != 0)
		GROUP BY minute`,
		rollupFirst().Unix(), int(rollupLast().Sub(rollupFirst())/time.Minute))
	rows, err := r.conn.Query(r.t.Context(), "SELECT ad_id, minute, clicks FROM clicks_per_minute FINAL WHERE advertiser_id = 7")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var ad int64
		var minute time.Time
		var clicks uint64
		if err := rows.Scan(&ad, &minute, &clicks); err != nil {
			r.t.Fatal(err)
		}
		r.set(ad, minute.UTC(), clicks)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rollupRig) set(ad int64, minute time.Time, clicks uint64) {
	if r.minutes[ad] == nil {
		r.minutes[ad] = map[time.Time]uint64{}
	}
	r.minutes[ad][minute] = clicks
}

// restate is a flush of a minute in which advertiser 7's ad came to so many
// clicks. It dies after so many of its three steps.
func (r *rollupRig) restate(ad int64, minute time.Time, clicks uint64, steps int) {
	r.t.Helper()
	before, total := r.minutes[ad][minute], r.minutes[0][minute]
	after := total + clicks - before
	version, err := r.store.NextVersion(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if steps > 0 {
		r.exec("INSERT INTO restatements SELECT 7, arrayJoin([?, 0]), toDateTime(?, 'UTC'), 1, fromUnixTimestamp64Micro(?, 'UTC'), ?, ?, 'late'",
			ad, minute.Unix(), int64(version), before, clicks)
	}
	if steps > 1 {
		r.exec("INSERT INTO clicks_per_minute VALUES (7, ?, ?, ?, ?), (7, 0, ?, ?, ?)", ad, minute.Unix(), clicks, version, minute.Unix(), after, version)
		r.set(ad, minute, clicks)
		r.set(0, minute, after)
	}
	if steps > 2 {
		r.seal(minute, version)
	}
}

func (r *rollupRig) seal(minute time.Time, version uint64) {
	r.t.Helper()
	state := "SEALED"
	if minute.Before(rollupFirst()) {
		state = "EARLIER"
	}
	r.exec(`INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)
		SELECT toDateTime(?, 'UTC'), ?, ?, sum(clicks), 0, 'late', '', [] FROM clicks_per_minute FINAL WHERE minute = toDateTime(?, 'UTC') AND ad_id != 0`,
		minute.Unix(), version, state, minute.Unix())
}

func (r *rollupRig) due() []string {
	r.t.Helper()
	plan := attempts(r.t, r.env, r.rollup.PlanRollups, activities.PlanRollupsInput{Limit: 1000})
	due := []string{}
	for _, d := range plan.Due {
		due = append(due, d.String())
	}
	return due
}

// day rolls a day up to every level, and says which of them waited.
func (r *rollupRig) day(day string) (waited []click.Level) {
	r.t.Helper()
	d, err := click.ParseDay(day)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, step := range click.Rollups() {
		if attempts(r.t, r.env, r.rollup.RollUp, activities.RollUpInput{Day: d, Level: step.To}).Waits {
			waited = append(waited, step.To)
		}
	}
	return waited
}

// everyDay rolls up the first days that are due.
func (r *rollupRig) everyDay(daysMax int) {
	r.t.Helper()
	due := r.due()
	for _, d := range due[:min(daysMax, len(due))] {
		r.day(d)
	}
}

// read asks for figures and compares them with what the minutes say.
func (r *rollupRig) read(q clickhouse.ReportQuery) {
	r.t.Helper()
	q.AdvertiserID, q.RowsMax = 7, 100_000
	got, _, err := r.store.SealedFigures(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	want := map[clickhouse.Figure]uint64{}
	for ad, minutes := range r.minutes {
		switch {
		case len(q.AdIDs) > 0 && !slices.Contains(q.AdIDs, ad), len(q.AdIDs) == 0 && q.ByAd == (ad == 0):
			continue
		}
		for minute, clicks := range minutes {
			if minute.Before(q.From) || !minute.Before(q.To) || clicks == 0 {
				continue
			}
			point := clickhouse.Figure{Start: minute}
			if q.ByAd {
				point.AdID = ad
			}
			if len(q.Starts) > 0 {
				i, found := slices.BinarySearchFunc(q.Starts, minute, time.Time.Compare)
				if !found {
					i--
				}
				point.Start = q.Starts[i]
			}
			want[point] += clicks
		}
	}
	for _, f := range got {
		clicks := f.Clicks
		f.Clicks = 0
		if want[f] != clicks {
			r.t.Errorf("ad %d at %v has %d clicks, the minutes say %d; %+v", f.AdID, f.Start, clicks, want[f], short(q))
		}
		delete(want, f)
	}
	if len(want) > 0 {
		r.t.Errorf("%d points are missing; %+v", len(want), short(q))
	}
}

func short(q clickhouse.ReportQuery) clickhouse.ReportQuery {
	q.Starts = q.Starts[:min(len(q.Starts), 5)]
	return q
}

// reads asks a number of questions with random ranges, points and series.
func (r *rollupRig) reads(random *rand.Rand, count int) {
	r.t.Helper()
	for range count {
		grain := []int{1, 15, 60, 24 * 60}[random.IntN(4)]
		minute := func(max int) time.Duration { return time.Duration(random.IntN(max)/grain*grain) * time.Minute }
		q := clickhouse.ReportQuery{From: rollupFirst().Truncate(24 * time.Hour).Add(minute(30 * 24 * 60)), ByAd: random.IntN(2) == 0}
		q.To = q.From.Add(minute(30*24*60) + time.Duration(grain)*time.Minute)
		if random.IntN(3) == 0 {
			q.From, q.To = rollupFirst().AddDate(0, 0, -40).Truncate(24*time.Hour), rollupLast()
		}
		if random.IntN(2) == 0 {
			q.AdIDs = []int64{70 + random.Int64N(4), 70 + random.Int64N(4)}
		}
		q.Starts = randomPoints(r.t, random, q.From, q.To)
		if len(r.asked) > 0 && random.IntN(2) == 0 { // what was asked is remembered
			q = r.asked[random.IntN(len(r.asked))]
		} else {
			r.asked = append(r.asked, q)
		}
		r.read(q)
		if random.IntN(4) == 0 {
			r.top(q.From, q.To)
		}
	}
}

// top asks for the ads of a range and compares them with what the minutes say.
func (r *rollupRig) top(from, to time.Time) {
	r.t.Helper()
	var want []clickhouse.Figure
	for ad, minutes := range r.minutes {
		f := clickhouse.Figure{AdID: ad, Start: from}
		for minute, clicks := range minutes {
			if !minute.Before(from) && minute.Before(to) {
				f.Clicks += clicks
			}
		}
		if ad != 0 && f.Clicks > 0 {
			want = append(want, f)
		}
	}
	slices.SortFunc(want, func(a, b clickhouse.Figure) int {
		return cmp.Or(cmp.Compare(b.Clicks, a.Clicks), cmp.Compare(a.AdID, b.AdID))
	})
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: from, To: to, RowsMax: 3}
	got, _, err := r.store.TopAds(r.t.Context(), q, rollupLast())
	if err != nil {
		r.t.Fatal(err)
	}
	if !slices.Equal(got, want[:min(3, len(want))]) {
		r.t.Errorf("the top ads from %v to %v are %v, the minutes say %v", from, to, got, want)
	}
	var ads []int64
	for after, size := int64(0), 2; ; {
		q.RowsMax = size
		page, err := r.store.ReportedAds(r.t.Context(), q, rollupLast(), from, after)
		if err != nil {
			r.t.Fatal(err)
		}
		if ads = append(ads, page...); len(page) < size {
			break
		}
		after = page[len(page)-1]
	}
	if !slices.IsSorted(ads) || len(slices.Compact(slices.Clone(ads))) != len(ads) {
		r.t.Errorf("the pages have ads %v", ads)
	}
	for _, f := range want { // and perhaps ads whose clicks were restated away
		if !slices.Contains(ads, f.AdID) {
			r.t.Errorf("the pages from %v to %v have ads %v, not %d", from, to, ads, f.AdID)
		}
	}
}

// randomPoints are hours, days, weeks or one point, as clocks all over the world show them.
func randomPoints(t *testing.T, random *rand.Rand, from, to time.Time) []time.Time {
	t.Helper()
	zones := []string{"UTC", "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "America/St_Johns"}
	loc, err := time.LoadLocation(zones[random.IntN(len(zones))])
	if err != nil {
		t.Fatal(err)
	}
	starts := []time.Time{from}
	step := [][3]int{{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 7, 0}, {1, 0, 0}}[random.IntN(5)]
	if step == [3]int{} {
		return starts
	}
	for at := time.Date(from.In(loc).Year(), from.In(loc).Month(), 1, 0, 0, 0, 0, loc); at.Before(to); {
		if at.After(from) {
			starts = append(starts, at.UTC())
		}
		if step[2] > 0 {
			at = at.Add(time.Hour)
		} else {
			at = at.AddDate(0, step[0], step[1])
		}
	}
	return starts
}

// tables are the sums of each level's table, to see that something was written.
func (r *rollupRig) tables() string {
	r.t.Helper()
	var out []string
	for _, step := range click.Rollups() {
		var clicks, spans uint64
		err := r.conn.QueryRow(r.t.Context(), fmt.Sprintf("SELECT sum(clicks), uniqExact(minute) FROM clicks_per_%s FINAL WHERE ad_id = 0", step.To)).Scan(&clicks, &spans)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d in %d", step.To, clicks, spans))
	}
	return strings.Join(out, ", ")
}

func newRandom(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestAFigureIsTheSameWhicheverTableAnswers(t *testing.T) {
	random := newRandom(t)
	r := newRollupRig(t, random)
	r.reads(random, 8) // nothing is rolled up

	due := r.due()
	if len(due) != 33 || due[0] != "2026-09-30" || due[32] != "2026-11-01" {
		t.Fatalf("due are %v", due)
	}
	random.Shuffle(len(due), func(i, k int) { due[i], due[k] = due[k], due[i] })
	for _, d := range due[:20] {
		r.day(d)
	}
	r.reads(random, 15) // half of the days are
	for _, d := range due[20:] {
		r.day(d)
	}
	if due := r.due(); len(due) != 0 {
		t.Errorf("still due are %v", due)
	}
	t.Log(r.tables())
	r.reads(random, 30)

	// Minutes change: some flushes are done, some died on the way.
	changed := map[string]bool{}
	for i := range 6 {
		// Each on a day of its own.
		minute := rollupFirst().Truncate(24*time.Hour).AddDate(0, 0, 1+5*i).Add(time.Duration(random.IntN(5*24*60)) * time.Minute)
		r.restate(70+random.Int64N(4), minute, uint64(random.IntN(9)), 1+i%3)
		if i%3 == 2 {
			changed[minute.Format(time.DateOnly)] = true
		}
		r.reads(random, 6)
	}
	if due := r.due(); len(due) != len(changed) {
		t.Errorf("due are %v, changed were %v", due, changed)
	}
	r.everyDay(10)
	r.reads(random, 20)
	if due := r.due(); len(due) != 0 {
		t.Errorf("still due are %v", due)
	}
}

// What is brought back from before the ledger's start is no restatement, so days
// that are not sealed from midnight to midnight are never rolled up.
func TestDaysFromBeforeTheLedgersStartAreReadByTheMinute(t *testing.T) {
	random := newRandom(t)
	r := newRollupRig(t, random)
	r.everyDay(5)
	for _, minute := range []time.Time{rollupFirst().Add(-2 * 24 * time.Hour), rollupFirst().Add(-30 * time.Minute)} {
		version, err := r.store.NextVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.exec("INSERT INTO clicks_per_minute VALUES (7, 71, ?, 3, ?), (7, 0, ?, 3, ?)", minute.Unix(), version, minute.Unix(), version)
		r.set(71, minute, 3)
		r.set(0, minute, 3)
		r.reads(random, 5)
		r.seal(minute, version)
	}
	r.reads(random, 5)
	if due := r.due(); due[0] != "2026-10-05" {
		t.Errorf("due are %v", due)
	}
}

// A change that is announced for every advertiser is looked for by all.
func TestAChangeAnnouncedForAllIsReadByTheMinute(t *testing.T) {
	random := newRandom(t)
	r := newRollupRig(t, random)
	r.day("2026-10-05")
	minute := time.Date(2026, 10, 5, 7, 8, 0, 0, time.UTC)
	version, err := r.store.NextVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO restatements VALUES (0, 0, ?, 0, fromUnixTimestamp64Micro(?, 'UTC'), 0, 0, 'backfill')", minute.Unix(), int64(version))
	r.exec("INSERT INTO clicks_per_minute VALUES (7, 71, ?, 30, ?), (7, 0, ?, 30, ?)", minute.Unix(), version, minute.Unix(), version)
	r.set(71, minute, 30)
	r.set(0, minute, 30)
	for _, byAd := range []bool{false, true} {
		from := minute.Truncate(24 * time.Hour)
		r.read(clickhouse.ReportQuery{From: from, To: from.AddDate(0, 0, 1), ByAd: byAd, Starts: []time.Time{from}})
	}
}

// Sums that no minute has any more, as after a store was rebuilt.
func TestSumsThatVanishedBecomeZeros(t *testing.T) {
	random := newRandom(t)
	r := newRollupRig(t, random)
	monday := click.DayOf(time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC))
	for _, step := range click.Rollups()[:3] {
		r.exec(fmt.Sprintf("INSERT INTO clicks_per_%s VALUES (7, 79, ?, 5, 1), (7, 0, ?, 999, 1)", step.To), monday.Start().Unix(), monday.Start().Unix())
	}
	for i := range 7 {
		r.day(monday.Add(i).String())
	}
	r.reads(random, 10)
	for _, starts := range [][]time.Time{{monday.Start()}, {monday.Start(), monday.End()}, {monday.Start(), monday.Start().Add(time.Hour)}} {
		r.read(clickhouse.ReportQuery{From: monday.Start(), To: monday.Add(7).Start(), ByAd: true, Starts: starts})
		r.read(clickhouse.ReportQuery{From: monday.Start(), To: monday.Add(7).Start(), Starts: starts})
	}
}

// mortalStore dies before or after anything it does for a rollup.
type mortalStore struct {
	*clickhouse.Store
	mu     sync.Mutex
	random *rand.Rand
}

func (m *mortalStore) dies() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.random.IntN(6) == 0 {
		return errKilled
	}
	return nil
}

func (m *mortalStore) NextVersion(ctx context.Context) (uint64, error) {
	version, err := m.Store.NextVersion(ctx)
	return version, errors.Join(err, m.dies())
}

func (m *mortalStore) RollUp(ctx context.Context, span click.RollupSpan) error {
	if err := m.dies(); err != nil {
		return err
	}
	return errors.Join(m.Store.RollUp(ctx, span), m.dies())
}

func (m *mortalStore) RecordRollup(ctx context.Context, e click.Rolled, seen []uint64) error {
	if err := m.dies(); err != nil {
		return err
	}
	return errors.Join(m.Store.RecordRollup(ctx, e, seen), m.dies())
}

// Three workers roll up the same days at once, in an order of their own, dying
// and beginning anew, while minutes change: no report is ever wrong.
func TestRollupsKilledAtRandomAreNeverReadWrong(t *testing.T) {
	random := newRandom(t)
	r := newRollupRig(t, random)
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	t.Cleanup(func() { stop(); workers.Wait() })
	died := make([]int, 3)
	for n := range died {
		mortal := &mortalStore{Store: r.store, random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		order := rand.New(rand.NewPCG(random.Uint64(), 0))
		rollup := &activities.Rollup{Ledger: mortal, Sums: mortal, MinutesKeptDays: 400, Now: r.rollup.Now}
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(rollup)
		workers.Go(func() {
			for ctx.Err() == nil {
				day := click.DayOf(rollupFirst()).Add(order.IntN(8))
				for _, step := range click.Rollups() {
					if _, err := env.ExecuteActivity(rollup.RollUp, activities.RollUpInput{Day: day, Level: step.To}); err != nil {
						died[n]++
					}
				}
			}
		})
	}
	var unsealed []time.Time
	for range 25 {
		minute := rollupFirst().Add(time.Duration(random.IntN(7*24*60)) * time.Minute)
		steps := 1 + random.IntN(3)
		r.restate(70+random.Int64N(4), minute, uint64(random.IntN(9)), steps)
		if steps < 3 {
			unsealed = append(unsealed, minute)
		}
		from := rollupFirst().Truncate(24 * time.Hour).Add(time.Duration(random.IntN(48)) * time.Hour)
		q := clickhouse.ReportQuery{From: from, To: from.Add(time.Duration(1+random.IntN(9*24)) * time.Hour), ByAd: random.IntN(2) == 0}
		q.Starts = randomPoints(t, random, q.From, q.To)
		r.read(q)
	}
	stop()
	workers.Wait()
	if slices.Contains(died, 0) {
		t.Errorf("workers died %v times", died)
	}
	for _, minute := range unsealed { // flushes that died are repeated
		version, err := r.store.NextVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.seal(minute, version)
	}
	r.everyDay(8)
	r.reads(random, 15)
}

func TestADayIsNotRolledUpBeforeAllItsMinutesAreSealed(t *testing.T) {
	r := newRollupRig(t, newRandom(t))
	today := click.DayOf(rollupLast())
	_, err := r.env.ExecuteActivity(r.rollup.RollUp, activities.RollUpInput{Day: today, Level: click.PerHour})
	if err == nil || !strings.Contains(err.Error(), "window 2026-11-02T00:00Z is not sealed") {
		t.Errorf("got %v", err)
	}
	_, err = r.env.ExecuteActivity(r.rollup.RollUp, activities.RollUpInput{Day: click.DayOf(rollupLast().AddDate(-2, 0, 0)), Level: click.PerHour})
	if err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("got %v", err)
	}
	_, err = r.env.ExecuteActivity(r.rollup.RollUp, activities.RollUpInput{Day: today, Level: "year"})
	if err == nil || !strings.Contains(err.Error(), "none of hour, day, week, month") {
		t.Errorf("got %v", err)
	}
	if waited := r.day("2026-09-30"); !slices.Equal(waited, []click.Level{click.PerWeek, click.PerMonth}) {
		t.Errorf("waited: %v", waited)
	}
}

func TestARollupThatDoesNotAddUpIsNotUsed(t *testing.T) {
	random := newRandom(t)
	r := newRollupRig(t, random)
	day := time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)
	// A total that is not the sum of its ads, and a seal that counted otherwise.
	for what, spoil := range map[string]string{
		"ads sum to":         "INSERT INTO clicks_per_minute VALUES (8, 0, %d, 77, 9)",
		"clicks were sealed": "INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked) VALUES (%d, 9, 'SEALED', 77, 0, '', '', [])",
	} {
		r.exec(fmt.Sprintf(spoil, day.Unix()))
		_, err := r.env.ExecuteActivity(r.rollup.RollUp, activities.RollUpInput{Day: click.DayOf(day), Level: click.PerHour})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v", err)
		}
	}
	if due := r.due(); len(due) != 33 {
		t.Errorf("%d days are due, want all 33", len(due))
	}
}
