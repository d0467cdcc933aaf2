package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"clickledger/internal/click"
)

const pastAdvertiser = 7

// series is one figure of a minute; ad 0 is the total.
type series struct {
	ad     int64
	minute click.Window
}

// moment is what a reader was told at a time.
type moment struct {
	at       time.Time
	sealed   time.Time
	figures  map[series]uint64
	restated map[series]bool
}

// pastRig is a store to which things happen one after the other. After each it
// notes what is final, as it is read just then.
type pastRig struct {
	ledger
	random  *rand.Rand
	clicks  map[click.Window][]pastClick // stored, not deleted
	next    click.Window                 // the first that is not sealed
	offset  int64
	now     moment
	pending map[click.Window]bool // a flush has died there
	moments []moment
}

type pastClick struct {
	ad         int64
	impression int
}

// newPastRig has two whole days sealed, with something before and behind, and
// clicks before its ledger's start.
func newPastRig(t *testing.T) *pastRig {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("PAST_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PAST_SEED=%d plays it again", seed)
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -4)
	r := &pastRig{
		ledger: newLedgerFrom(t, click.WindowOf(day.Add(-90*time.Minute))), random: rand.New(rand.NewPCG(seed, 0)),
		clicks: map[click.Window][]pastClick{}, pending: map[click.Window]bool{},
		now: moment{figures: map[series]uint64{}, restated: map[series]bool{}},
	}
	r.next = click.WindowOf(day.Add(48*time.Hour + 30*time.Minute))
	batch, err := r.conn.PrepareBatch(t.Context(), "INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, partition, offset)")
	r.must(err)
	for range 150 {
		w, c := r.sealedMinute(), r.newClick()
		r.must(batch.Append(w.Start(), int64(pastAdvertiser), c.ad, impressionText(c.impression), w.Start(), int32(0), int64(c.impression)))
		r.clicks[w] = append(r.clicks[w], c)
	}
	r.must(batch.Send())
	version, err := r.NextVersion(t.Context())
	r.must(err)
	r.must(r.conn.Exec(t.Context(), `INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
		SELECT advertiser_id, ad_id, minute, count(), ? FROM clicks FINAL`+eachFigure, version))
	r.must(r.conn.Exec(t.Context(), `INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)
		SELECT minute, ?, 'SEALED', sum(counted), 0, 'first', 'topic', [?]
		FROM (SELECT toDateTime(?, 'UTC') + INTERVAL number MINUTE AS minute, toUInt64(0) AS counted FROM numbers(?)
		      UNION ALL SELECT minute, clicks AS counted FROM clicks_per_minute FINAL WHERE ad_id != 0)
		GROUP BY minute`, version, r.offset, r.start.Start().Unix(), int(r.next.Start().Sub(r.start.Start())/click.WindowLength)))
	for _, w := range r.used() {
		for _, c := range r.clicks[w] {
			r.now.figures[series{c.ad, w}]++
			r.now.figures[series{0, w}]++
		}
	}
	r.note()
	return r
}

// sealedMinute is any, and in two of three cases one of a few with clicks: these
// are changed again and again, also after a flush of them has died.
func (r *pastRig) sealedMinute() click.Window {
	if used := r.used(); len(used) > 5 && r.random.IntN(3) > 0 {
		return used[r.random.IntN(5)*len(used)/5]
	}
	minutes := int(r.next.Start().Sub(r.start.Start()) / click.WindowLength)
	return click.WindowOf(r.start.Start().Add(time.Duration(r.random.IntN(minutes)) * click.WindowLength))
}

func (r *pastRig) used() []click.Window {
	return slices.SortedFunc(maps.Keys(r.clicks), func(a, b click.Window) int { return a.Start().Compare(b.Start()) })
}

// newClick is one at the next offset; its impression has that number.
func (r *pastRig) newClick() pastClick {
	r.offset++
	return pastClick{ad: 71 + r.random.Int64N(3), impression: int(r.offset - 1)}
}

func (r *pastRig) click(w click.Window) {
	r.t.Helper()
	c := r.newClick()
	r.store(w, pastAdvertiser, c.ad, c.impression, 0, int64(c.impression))
	r.clicks[w] = append(r.clicks[w], c)
}

// vanish deletes one of the minute's clicks, or all.
func (r *pastRig) vanish(w click.Window) {
	r.t.Helper()
	for len(r.clicks[w]) > 0 {
		c := r.clicks[w][0]
		r.remove(w, pastAdvertiser, c.ad, c.impression)
		r.clicks[w] = r.clicks[w][1:]
		if r.random.IntN(2) == 0 {
			return
		}
	}
}

// change is a late click, or that one is deleted.
func (r *pastRig) change(w click.Window) {
	r.t.Helper()
	if len(r.clicks[w]) > 0 && r.random.IntN(2) == 0 {
		r.vanish(w)
	} else {
		r.click(w)
	}
}

// read notes what is told of a minute that was sealed just now.
func (r *pastRig) read(w click.Window) {
	r.t.Helper()
	maps.DeleteFunc(r.now.figures, func(s series, _ uint64) bool { return s.minute == w })
	for _, byAd := range []bool{false, true} {
		q := ReportQuery{AdvertiserID: pastAdvertiser, From: w.Start(), To: w.End(), ByAd: byAd, RowsMax: 100}
		figures, points, err := r.SealedFigures(r.t.Context(), q)
		r.must(err)
		for _, f := range figures {
			r.now.figures[series{f.AdID, w}] = f.Clicks
		}
		for _, f := range points {
			r.now.restated[series{f.AdID, w}] = true
		}
	}
	delete(r.pending, w)
}

// note keeps this moment. The next thing happens in a later millisecond.
func (r *pastRig) note() {
	r.t.Helper()
	var err error
	r.now.sealed, err = r.SealedThrough(r.t.Context())
	r.must(err)
	r.now.at = r.clock().Truncate(time.Millisecond)
	kept := r.now
	kept.figures, kept.restated = maps.Clone(kept.figures), maps.Clone(kept.restated)
	r.moments = append(r.moments, kept)
	for !r.clock().After(kept.at.Add(time.Millisecond)) {
	}
}

func (r *pastRig) clock() time.Time {
	r.t.Helper()
	version, err := r.NextVersion(r.t.Context())
	r.must(err)
	return time.UnixMicro(int64(version)).UTC()
}

func (r *pastRig) flushAll(minutes ...click.Window) {
	r.t.Helper()
	for _, w := range minutes {
		r.flush(r.snapshot(w, r.offset))
		r.read(w)
	}
}

// die is a flush that does so many of its steps, and never seals.
func (r *pastRig) die(w click.Window, steps int) {
	r.t.Helper()
	ctx := r.flushContext(r.t.Context(), r.snapshot(w, r.offset), click.LateFlush)
	for _, query := range []string{restateQuery, figuresQuery, vanishedQuery}[:steps] {
		r.must(r.conn.Exec(ctx, query))
	}
	r.pending[w] = true
}

// rollUp sums up a day to hours, and those to the day.
func (r *pastRig) rollUp(day click.Day) {
	r.t.Helper()
	seen, err := r.MinuteVersions(r.t.Context(), day)
	r.must(err)
	hours := click.Rolled{Level: click.PerHour, First: day}
	for _, version := range seen {
		hours.Parts += version
	}
	for _, e := range []click.Rolled{hours, {Level: click.PerDay, First: day}} {
		step, _ := click.RollupTo(e.Level)
		if e.Level == click.PerDay {
			e.Parts, seen = hours.Version, nil
		}
		e.Version, err = r.NextVersion(r.t.Context())
		r.must(err)
		r.must(r.RollUp(r.t.Context(), click.RollupSpan{Rollup: step, First: day, Next: day.Add(1), Version: e.Version}))
		r.must(r.RecordRollup(r.t.Context(), e, seen))
		hours = e
	}
}

// step is one thing that happens.
func (r *pastRig) step() string {
	r.t.Helper()
	w := r.sealedMinute()
	switch r.random.IntN(9) {
	case 0, 1:
		r.change(w)
		r.flushAll(w)
		return "a change"
	case 2:
		for range r.random.IntN(4) {
			r.click(r.next)
			r.flushAll(r.next)
			r.next = r.next.Next()
		}
		return "minutes are sealed"
	case 3:
		r.change(w)
		r.die(w, 1)
		return "a flush that dies before it writes figures"
	case 4:
		r.click(w)
		r.die(w, 1)
		late := r.clicks[w][len(r.clicks[w])-1]
		r.remove(w, pastAdvertiser, late.ad, late.impression)
		r.clicks[w] = r.clicks[w][:len(r.clicks[w])-1]
		return "a flush that dies, and whose change is gone then"
	case 5:
		r.change(w)
		r.die(w, 2+r.random.IntN(2))
		return "a flush that dies before it seals"
	case 6:
		if w.Before(r.start) {
			w = r.start // what a repair brings back from before the ledger is no restatement
		}
		minutes := []click.Window{w, w.Next(), w.Next().Next()}
		minutes = slices.DeleteFunc(minutes, func(w click.Window) bool { return !w.Before(r.next) })
		for _, w := range minutes {
			r.change(w)
		}
		r.flushSpan(r.span(r.offset, minutes...), []click.FlushReason{click.RepairFlush, click.BackfillFlush}[r.random.IntN(2)])
		for _, w := range minutes {
			r.read(w)
		}
		return "a repair"
	case 7:
		// From before the ledger's start.
		w := click.WindowOf(r.start.Start().Add(-time.Duration(1+r.random.IntN(5)) * time.Hour))
		r.change(w)
		r.flushAll(w)
		return "a click from before the ledger"
	default:
		r.flushAll(slices.Collect(maps.Keys(r.pending))...) // a rollup that finds an unsealed change is refused
		r.rollUp(click.DayOf(r.start.Start()).Add(1 + r.random.IntN(2)))
		return "a rollup"
	}
}

// ask is a random question about what was final.
func (r *pastRig) ask(m moment) ReportQuery {
	q := ReportQuery{AdvertiserID: pastAdvertiser, ByAd: r.random.IntN(2) == 0, RowsMax: 100_000}
	first := r.start.Start().Add(-6 * time.Hour)
	grain := []time.Duration{time.Minute, time.Hour, 24 * time.Hour}[r.random.IntN(3)]
	q.From = first.Add(time.Duration(r.random.Int64N(int64(m.sealed.Sub(first))))).Truncate(grain)
	q.To = q.From.Add(time.Minute + time.Duration(r.random.Int64N(int64(72*time.Hour))).Truncate(grain))
	if r.random.IntN(3) == 0 {
		q.From, q.To = first, m.sealed
	}
	if q.To.After(m.sealed) {
		q.To = m.sealed
	}
	if r.random.IntN(3) == 0 {
		q.AdIDs = []int64{71, 73}
	}
	zone := []string{"UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin"}[r.random.IntN(4)]
	loc, err := time.LoadLocation(zone)
	r.must(err)
	switch r.random.IntN(4) {
	case 0: // every minute
	case 1:
		q.Starts = []time.Time{q.From}
	case 2:
		for at := q.From; at.Before(q.To); at = at.Truncate(time.Hour).Add(time.Hour) {
			q.Starts = append(q.Starts, at)
		}
	default:
		for at := q.From; at.Before(q.To); {
			q.Starts = append(q.Starts, at)
			year, month, day := at.In(loc).Date()
			at = time.Date(year, month, day+1, 0, 0, 0, 0, loc).UTC()
		}
	}
	return q
}

// told is what was final at a moment, as q asks for it.
func (m moment) told(q ReportQuery) (figures []Figure, restated []Figure) {
	clicks, changed := map[Figure]uint64{}, map[Figure]bool{}
	point := func(s series) (Figure, bool) {
		at := s.minute.Start()
		if at.Before(q.From) || !at.Before(q.To) {
			return Figure{}, false
		}
		if len(q.AdIDs) > 0 && !slices.Contains(q.AdIDs, s.ad) || len(q.AdIDs) == 0 && q.ByAd == (s.ad == 0) {
			return Figure{}, false
		}
		f := Figure{Start: at}
		if q.ByAd {
			f.AdID = s.ad
		}
		if len(q.Starts) > 0 {
			i, found := slices.BinarySearchFunc(q.Starts, at, time.Time.Compare)
			if !found {
				i--
			}
			f.Start = q.Starts[i]
		}
		return f, true
	}
	for s, n := range m.figures {
		if f, ok := point(s); ok {
			clicks[f] += n
		}
	}
	for s := range m.restated {
		if f, ok := point(s); ok {
			changed[f] = true
		}
	}
	for f, n := range clicks {
		f.Clicks = n
		figures = append(figures, f)
	}
	order := func(a, b Figure) int { return cmp.Or(cmp.Compare(a.AdID, b.AdID), a.Start.Compare(b.Start)) }
	return slices.SortedFunc(slices.Values(figures), order), slices.SortedFunc(maps.Keys(changed), order)
}

// compare asks for what was final at a moment, and compares it with what was told then.
func (r *pastRig) compare(m moment) {
	r.t.Helper()
	q := r.ask(m)
	if !q.From.Before(q.To) {
		return
	}
	figures, restated, err := r.FiguresAsOf(r.t.Context(), q, m.at)
	r.must(err)
	want, changed := m.told(q)
	if !slices.Equal(figures, want) {
		r.t.Errorf("as of %v the figures are\n%v\nand were\n%v\nof %+v", m.at, figures, want, q)
	}
	if !slices.Equal(restated, changed) {
		r.t.Errorf("as of %v restated are\n%v\nand were\n%v\nof %+v", m.at, restated, changed, q)
	}
	if r.random.IntN(3) > 0 {
		return
	}
	q.ByAd, q.AdIDs, q.Starts = true, nil, []time.Time{q.From}
	want, changed = m.told(q)
	ads := []int64{}
	for _, f := range slices.Concat(want, changed) {
		ads = append(ads, f.AdID)
	}
	slices.Sort(ads)
	ads = slices.DeleteFunc(slices.Compact(ads), func(ad int64) bool { return ad <= 71 })
	if got, err := r.ReportedAdsAsOf(r.t.Context(), q, m.at, 71); err != nil || !slices.Equal(got, ads) {
		r.t.Errorf("as of %v the ads behind 71 are %v, want %v: %v", m.at, got, ads, err)
	}
}

// compareChanges asks what was corrected between two moments.
func (r *pastRig) compareChanges(from, to moment) {
	r.t.Helper()
	want := map[series]int64{}
	for s, n := range to.figures {
		want[s] += int64(n)
	}
	for s, n := range from.figures {
		want[s] -= int64(n)
	}
	maps.DeleteFunc(want, func(s series, n int64) bool { return n == 0 || s.ad == 0 || !s.minute.Start().Before(from.sealed) })
	q := CorrectionsQuery{
		AdvertiserID: pastAdvertiser, From: r.start.Start().Add(-24 * time.Hour), To: from.sealed, Since: from.at, AsOf: to.at, RowsMax: 1 + r.random.IntN(4),
	}
	got := map[series]int64{}
	for {
		page, err := r.Corrections(r.t.Context(), q)
		r.must(err)
		for _, c := range page {
			got[series{c.AdID, click.WindowOf(c.Minute)}] += int64(c.After) - int64(c.Before)
			if !c.At.After(from.at) || c.At.After(to.at) || c.Before == c.After {
				r.t.Errorf("between %v and %v: %+v", from.at, to.at, c)
			}
		}
		if len(page) < q.RowsMax {
			break
		}
		q.After = page[len(page)-1]
	}
	maps.DeleteFunc(got, func(_ series, n int64) bool { return n == 0 })
	if !maps.Equal(got, want) {
		r.t.Errorf("between %v and %v the corrections add up to %v, the figures changed by %v", from.at, to.at, got, want)
	}
}

// The law of invoices: whatever has happened since, what was final at a time is
// told as it was told then, to the click; and what was corrected since is
// exactly the difference.
func TestWhatWasFinalIsToldAsItWasTold(t *testing.T) {
	r := newPastRig(t)
	for range 20 {
		what := r.step()
		r.note()
		if t.Failed() {
			t.Fatalf("%s went wrong", what)
		}
		r.compare(r.moments[r.random.IntN(len(r.moments))]) // also while flushes lie dead
	}
	r.flushAll(slices.Collect(maps.Keys(r.pending))...)
	r.note()
	for range 5 {
		r.compareSums(r.moments[len(r.moments)-1])
	}
	settled(t, r)
	for i, m := range r.moments {
		sealed, err := r.SealedThroughAsOf(t.Context(), m.at)
		if err != nil || !sealed.Equal(m.sealed) {
			t.Errorf("as of %v minutes were sealed through %v, and were through %v: %v", m.at, sealed, m.sealed, err)
		}
		r.compare(m)
		r.compareChanges(m, r.moments[i+r.random.IntN(len(r.moments)-i)])
	}
}

// compareSums asks the same range in every way there is: all answers add up to
// the same.
func (r *pastRig) compareSums(m moment) {
	r.t.Helper()
	q := r.ask(m)
	if q.AdIDs = nil; !q.From.Before(q.To) {
		return
	}
	sums := map[string]uint64{}
	sum := func(way string, figures []Figure, err error) {
		r.t.Helper()
		r.must(err)
		sums[way] = 0
		for _, f := range figures {
			sums[way] += f.Clicks
		}
	}
	for way, byAd := range map[string]bool{"the total": false, "all ads": true} {
		q.ByAd = byAd
		figures, _, err := r.SealedFigures(r.t.Context(), q)
		sum(way+" by points", figures, err)
		byMinute := q
		byMinute.Starts = nil
		figures, _, err = r.SealedFigures(r.t.Context(), byMinute)
		sum(way+" by minutes", figures, err)
		figures, _, err = r.FiguresAsOf(r.t.Context(), q, m.at)
		sum(way+" as of now", figures, err)
	}
	figures, _, err := r.TopAds(r.t.Context(), q, m.sealed)
	sum("the top ads", figures, err)
	for way, n := range sums {
		if n != sums["the top ads"] {
			r.t.Errorf("%s add up to %d: %v of %+v", way, n, sums, q)
		}
	}
}

// settled waits until of each moment can be told.
func settled(t *testing.T, r *pastRig) {
	t.Helper()
	last := r.moments[len(r.moments)-1]
	if _, err := r.SealedThroughAsOf(t.Context(), last.at); !errors.Is(err, click.ErrNotSettled) && r.clock().Before(last.at.Add(click.AsOfSettled)) {
		t.Errorf("of the last moment it is told: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for r.clock().Before(last.at.Add(click.AsOfSettled)) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("the server's clock stands still")
		}
	}
	for _, early := range []time.Time{r.start.Start().Add(-time.Second), time.Unix(0, 0)} {
		if _, err := r.SealedThroughAsOf(t.Context(), early); !errors.Is(err, click.ErrBeforeLedger) {
			t.Errorf("as of %v: %v", early, err)
		}
	}
}
