package server

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

func newReporter(t testing.TB, sender filteredSender) *FilteredReporter {
	t.Helper()
	r, err := newFilteredReporter(sender, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// valueOf is a counter's value.
func valueOf(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// told is what was reported, each id once, as the store keeps it.
func (s *memoryStream) told() map[filteredKey]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := map[click.ArrivalID]click.Filtered{}
	for _, e := range s.filtered {
		byID[e.ID] = e
	}
	sums := map[filteredKey]uint64{}
	for _, e := range byID {
		sums[filteredKey{e.Window, e.AdvertiserID, e.AdID, e.Reason}] += e.Count
	}
	return sums
}

func wantTold(t *testing.T, s *memoryStream, want map[filteredKey]uint64) {
	t.Helper()
	if got := s.told(); !maps.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// running runs a reporter in a bubble of its own time; stop is its clean end.
func running(t *testing.T, r *FilteredReporter) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func TestReportsAreByMinuteAdAndReasonEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := &memoryStream{}
		r := newReporter(t, stream)
		stop := running(t, r)
		minute := time.Now().Truncate(time.Minute)
		one, two := testAd(1), testAd(2)
		for range 3 {
			r.add(minute.Add(time.Second), &one, click.Expired)
		}
		r.add(minute.Add(time.Minute), &one, click.Expired)
		r.add(minute.Add(59*time.Second), &one, click.Duplicate)
		r.add(minute, &two, click.Expired)
		wantTold(t, stream, map[filteredKey]uint64{})
		time.Sleep(filteredInterval + time.Millisecond)
		first, next := click.WindowOf(minute), click.WindowOf(minute).Next()
		want := map[filteredKey]uint64{
			{first, 7, 1, click.Expired}: 3, {next, 7, 1, click.Expired}: 1,
			{first, 7, 1, click.Duplicate}: 1, {first, 7, 2, click.Expired}: 1,
		}
		wantTold(t, stream, want)

		// What comes later is another report, and the last is sent at the stop.
		r.add(minute, &two, click.Expired)
		time.Sleep(filteredInterval)
		r.add(minute, &two, click.Expired)
		stop()
		want[filteredKey{first, 7, 2, click.Expired}] = 3
		wantTold(t, stream, want)
	})
}

// A report that begins while nothing is counted yet shares nothing with the clicks
// that come meanwhile: each is in one report. (The race detector sees the rest.)
func TestAClickThatComesWhileAReportIsTakenIsReportedOnce(t *testing.T) {
	const clicks = 20_000
	r := newReporter(t, &memoryStream{})
	ad, now := testAd(1), time.Now()
	added := make(chan struct{})
	go func() {
		defer close(added)
		for range clicks {
			r.add(now, &ad, click.Expired)
		}
	}()
	sum := uint64(0)
	for running := true; running; {
		select {
		case <-added:
			running = false
		default:
		}
		sum += sumOf(r.take())
	}
	if sum != clicks {
		t.Errorf("%d clicks were reported, %d came", sum, clicks)
	}
}

func TestReportsThatMayHaveArrivedAreRepeatedAsTheyWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := &memoryStream{late: true}
		r := newReporter(t, stream)
		stop := running(t, r)
		ad, now := testAd(1), time.Now()
		for range 5 { // each arrives, and none is acknowledged
			r.add(now, &ad, click.Paused)
			time.Sleep(filteredInterval)
		}
		stream.set(func(s *memoryStream) { s.late, s.away = false, true })
		r.add(now, &ad, click.Paused)
		time.Sleep(time.Minute)
		stream.set(func(s *memoryStream) { s.away = false })
		time.Sleep(2 * filteredInterval)
		r.add(now, &ad, click.Paused)
		stop()
		wantTold(t, stream, map[filteredKey]uint64{{click.WindowOf(now), 7, 1, click.Paused}: 7})
		if got := valueOf(t, r.reported); got != 7 {
			t.Errorf("the metric tells of %v", got)
		}
	})
}

func TestReporterIsBoundedAndSaysWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := &memoryStream{away: true}
		r := newReporter(t, stream)
		stop := running(t, r)
		now := time.Now()
		for id := range int64(filteredKeysMax + 10) {
			ad := testAd(id + 1)
			r.add(now, &ad, click.Expired)
		}
		known := testAd(1)
		r.add(now, &known, click.Expired) // is held already
		if len(r.counts) != filteredKeysMax {
			t.Errorf("%d are held", len(r.counts))
		}
		if got := valueOf(t, r.dropped); got != 10 {
			t.Errorf("the metric tells of %v", got)
		}
		stream.set(func(s *memoryStream) { s.away = false })
		stop()
		sum := uint64(0)
		for _, count := range stream.told() {
			sum += count
		}
		if sum != filteredKeysMax+1 {
			t.Errorf("%d clicks were told", sum)
		}
	})
}

func TestWhatIsNotReportedAtTheStopIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReporter(t, &memoryStream{away: true})
		stop := running(t, r)
		ad := testAd(1)
		for range 3 {
			r.add(time.Now(), &ad, click.Expired)
			time.Sleep(filteredInterval)
		}
		stop()
		if got := valueOf(t, r.dropped); got != 3 {
			t.Errorf("the metric tells of %v", got)
		}
	})
}

func TestEveryRedirectThatDoesNotCountIsReported(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	paused := testAd(6)
	paused.Status = click.AdPaused
	g.addAd(paused)
	good := g.token(t, 5, 0)
	for _, c := range []struct {
		method, token string
		header        http.Header
	}{
		{"GET", good, nil}, {"GET", good, nil}, {"GET", good, nil},
		{"GET", g.token(t, 5, 25*time.Hour), nil}, {"GET", g.token(t, 6, 0), nil},
		{"GET", g.token(t, 5, 0), http.Header{"Sec-Purpose": {"prefetch"}}}, {"HEAD", g.token(t, 5, 0), nil},
		{"GET", g.token(t, 99, 0), nil}, {"GET", good[1:], nil}, {"POST", good, nil}, // answered errors
	} {
		g.request(t, c.method, "/click?t="+c.token, c.header)
	}
	// An app records a click the gateway knows already.
	recorder := &clickService{recorder: g.server.Recorder, metrics: NewMetrics(prometheus.NewRegistry())}
	if _, err := recorder.RecordClick(t.Context(), &v1.RecordClickRequest{Token: good}); err != nil {
		t.Fatal(err)
	}
	g.server.Filtered.finish(t.Context())
	got := map[filteredKey]uint64{}
	for key, count := range g.stream.told() {
		key.window = click.Window{} // the minute may have turned meanwhile
		got[key] += count
	}
	want := map[filteredKey]uint64{
		{click.Window{}, 7, 5, click.Duplicate}: 3, {click.Window{}, 7, 5, click.Expired}: 1,
		{click.Window{}, 7, 5, click.Prefetch}: 2, {click.Window{}, 7, 6, click.Paused}: 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}
