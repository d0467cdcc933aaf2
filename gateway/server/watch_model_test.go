package server

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// ledgerModel is a store as flushes leave it, step by step: clicks come, minutes
// are sealed, late clicks are announced, written and sealed again, in any order
// and left half done. It answers reports and watching from the same rows.
type ledgerModel struct {
	*memoryStore
	first     time.Time
	minutes   int
	clicks    map[modelKey]uint64 // stored
	figures   map[modelKey]uint64 // written
	corrected map[modelKey]bool
	version   uint64
	seals     map[int]uint64
	open      map[int]uint64 // announced and not sealed yet, by minute
	written   map[int]bool
}

type modelKey struct {
	ad     int64
	minute int
}

const modelAds = 4

// step does one thing that may happen.
func (m *ledgerModel) step(random *rand.Rand, sealed *int) {
	minute := random.IntN(m.minutes)
	switch random.IntN(6) {
	case 0, 1: // clicks come, mostly new ones
		if random.IntN(3) > 0 {
			minute = min(m.minutes-1, *sealed+random.IntN(3))
		}
		m.clicks[modelKey{1 + random.Int64N(modelAds), minute}]++
	case 2: // the next minute is sealed
		if *sealed < m.minutes-1 {
			m.write(*sealed)
			m.version++
			m.seals[*sealed] = m.version
			*sealed++
		}
	case 3: // a flush of a sealed minute begins: what it will change is announced
		if minute < *sealed && m.open[minute] == 0 {
			m.version++
			m.open[minute] = m.version
			for ad := int64(1); ad <= modelAds; ad++ {
				key := modelKey{ad, minute}
				m.corrected[key] = m.corrected[key] || m.clicks[key] != m.figures[key]
				m.corrected[modelKey{0, minute}] = m.corrected[modelKey{0, minute}] || m.corrected[key]
			}
		}
	case 4: // it writes; only what was announced may change
		if m.open[minute] != 0 && !m.written[minute] {
			for ad := int64(1); ad <= modelAds; ad++ {
				key := modelKey{ad, minute}
				m.corrected[key] = m.corrected[key] || m.clicks[key] != m.figures[key]
				m.corrected[modelKey{0, minute}] = m.corrected[modelKey{0, minute}] || m.corrected[key]
			}
			m.write(minute)
			m.written[minute] = true
		}
	case 5: // it seals
		if m.written[minute] {
			m.seals[minute] = m.open[minute]
			m.open[minute], m.written[minute] = 0, false
		}
	}
}

func (m *ledgerModel) write(minute int) {
	for ad := int64(1); ad <= modelAds; ad++ {
		m.figures[modelKey{ad, minute}] = m.clicks[modelKey{ad, minute}]
	}
}

func (m *ledgerModel) at(minute int) time.Time {
	return m.first.Add(time.Duration(minute) * time.Minute)
}

// show makes the rows of the model those that are read.
func (m *ledgerModel) show(sealed int) {
	m.seal(m.at(sealed))
	m.change(func(live *memoryLive) {
		live.fresh, live.finals = m.rows(m.clicks), m.rows(m.figures)
		live.restated, live.ledger, live.announcing = nil, nil, nil
		for key, restated := range m.corrected {
			if restated {
				live.restated = append(live.restated, LiveFigure{7, key.ad, m.at(key.minute), 0})
			}
		}
		for minute, version := range m.seals {
			live.ledger = append(live.ledger, LiveFigure{0, 0, m.at(minute), version})
		}
		for minute, version := range m.open {
			live.announcing = append(live.announcing, LiveFigure{7, 0, m.at(minute), version})
		}
	})
}

func (m *ledgerModel) rows(of map[modelKey]uint64) []LiveFigure {
	sums := map[int]uint64{}
	var rows []LiveFigure
	for key, n := range of {
		if n > 0 {
			rows = append(rows, LiveFigure{7, key.ad, m.at(key.minute), n})
			sums[key.minute] += n
		}
	}
	for minute, n := range sums {
		rows = append(rows, LiveFigure{7, 0, m.at(minute), n})
	}
	return rows
}

// Figures answers a report from the same rows.
func (m *ledgerModel) Figures(_ context.Context, q FiguresQuery) (Figures, error) {
	var out Figures
	lay := func(to *[]Figure, rows []LiveFigure, from, before time.Time) {
		for _, f := range rows {
			named := len(q.AdIDs) == 0 && (f.AdID != 0) == q.ByAd || slices.Contains(q.AdIDs, f.AdID)
			if !named || f.Minute.Before(from) || !f.Minute.Before(before) {
				continue
			}
			at := f.Minute
			if len(q.Starts) > 0 {
				for _, start := range q.Starts {
					if !start.After(f.Minute) {
						at = start
					}
				}
			}
			if !q.ByAd {
				f.AdID = 0
			}
			*to = append(*to, Figure{f.AdID, at, f.Number})
		}
	}
	m.liveMu.Lock()
	defer m.liveMu.Unlock()
	lay(&out.Sealed, m.finals, q.From, q.SealedThrough)
	lay(&out.Restated, m.restated, q.From, q.SealedThrough)
	lay(&out.Fresh, m.fresh, later(q.From, q.SealedThrough), q.To)
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

type toldPoint struct {
	ad    int64
	start time.Time
}

// A figure never depends on which call answered: at any moment, what a watcher
// has been told is what QueryClicks answers.
func TestWhatIsToldIsWhatQueryClicksAnswersAtAnyMoment(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		playWatching(t, random)
	}
}

func playWatching(t *testing.T, random *rand.Rand) {
	t.Helper()
	m := &ledgerModel{
		memoryStore: newMemoryStore(), first: at(t, "2026-11-23T09:30:00Z"), minutes: 75,
		clicks: map[modelKey]uint64{}, figures: map[modelKey]uint64{}, corrected: map[modelKey]bool{},
		seals: map[int]uint64{}, open: map[int]uint64{}, written: map[int]bool{},
	}
	now := m.at(m.minutes).Add(-time.Second)
	m.advertisers[7] = click.Advertiser{ID: 7}
	for ad := int64(1); ad <= modelAds; ad++ {
		m.ads[ad] = testAd(ad)
	}
	service := &reportService{store: m, now: func() time.Time { return now }}
	h := newWatchHub(m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	h.stop = func() {} // polls are made here
	sealed, told := 0, map[*watcher]map[toldPoint]*v1.Point{}
	for round := range 40 {
		if round%8 == 0 {
			in := &v1.WatchClicksRequest{
				AdvertiserId: 7, GroupByAd: random.IntN(2) == 0, Granularity: v1.Granularity(random.IntN(4)),
				StartTime: timestamppb.New(m.at(random.IntN(m.minutes))), TimeZone: []string{"", "Asia/Kathmandu"}[random.IntN(2)],
			}
			if random.IntN(2) == 0 {
				in.AdIds = []int64{3, 1}
			}
			asked, err := readWatch(in, now)
			if err != nil {
				t.Fatal(err)
			}
			w, err := h.join(1, asked)
			if err != nil {
				t.Fatal(err)
			}
			told[w] = map[toldPoint]*v1.Point{}
		}
		for range random.IntN(40) {
			m.step(random, &sealed)
		}
		m.show(sealed)
		h.looked = time.Time{} // each poll looks at the ledger
		if m.failsAt = random.IntN(6); m.failsAt > 0 {
			_ = h.poll(t.Context(), slices.Collect(maps.Keys(h.watchers)), now) // it may be answered all the same
			m.failsAt, h.looked = 0, time.Time{}
			m.step(random, &sealed)
			m.show(sealed)
		}
		if err := h.poll(t.Context(), slices.Collect(maps.Keys(h.watchers)), now); err != nil {
			t.Fatal(err)
		}
		for w, points := range told {
			for len(w.out) > 0 {
				message := <-w.out
				w.pending.Add(-int64(len(message.GetPoints())))
				for _, p := range message.GetPoints() {
					points[toldPoint{p.GetAdId(), p.GetStartTime().AsTime()}] = p
				}
			}
			compareTold(t, service, w, points)
		}
		if t.Failed() {
			return
		}
	}
}

func compareTold(t *testing.T, service *reportService, w *watcher, told map[toldPoint]*v1.Point) {
	t.Helper()
	got, err := service.QueryClicks(asAdmin(t), &v1.QueryClicksRequest{
		AdvertiserId: 7, AdIds: w.asked.ads, GroupByAd: w.asked.byAd, Granularity: w.asked.granularity, TimeZone: w.asked.location.String(),
		StartTime: timestamppb.New(w.asked.from), EndTime: timestamppb.New(service.now().Truncate(time.Minute).Add(time.Minute)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.GetPoints() {
		is, ok := told[toldPoint{p.GetAdId(), p.GetStartTime().AsTime()}]
		if !ok && p.GetClicks() == 0 && w.asked.byAd && len(w.asked.ads) == 0 {
			continue
		}
		// A point that is not over is provisional to a watcher: it was not told where the range ends.
		state := p.GetState()
		if nextPoint(p.GetStartTime().AsTime(), w.asked.granularity, w.asked.location).After(got.GetSealedThrough().AsTime()) {
			state = v1.State_STATE_PROVISIONAL
		}
		if is.GetClicks() != p.GetClicks() || is.GetState() != state {
			t.Errorf("told %v, QueryClicks answers %v (%+v)", is, p, w.asked)
		}
	}
}
