package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// token signs an impression of an ad, issued age ago.
func (g *gateway) token(t testing.TB, adID int64, age time.Duration) string {
	t.Helper()
	id, err := click.NewImpressionID(time.Now().Add(-age), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return g.ring.Sign(click.Token{AdID: adID, Impression: id, FanOut: 1})
}

// answered is an answer, read to its end.
type answered struct {
	status int
	header http.Header
	body   string
}

// request sends without following redirects.
func (g *gateway) request(t testing.TB, method, path string, header http.Header) answered {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response.StatusCode, response.Header, string(body)}
}

func TestValidClickIsRedirectedAndProduced(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	response := g.request(t, "GET", "/click?t="+g.token(t, 5, time.Hour), nil)
	if response.status != http.StatusFound || response.header.Get("Location") != testAd(5).LandingURL || response.body != "" {
		t.Fatalf("answered %d to %q: %q", response.status, response.header.Get("Location"), response.body)
	}
	if response.header.Get("Cache-Control") != "no-store" || response.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers: %v", response.header)
	}
	produced := g.stream.produced()
	if len(produced) != 1 || produced[0].AdID != 5 || produced[0].AdvertiserID != 7 {
		t.Fatalf("produced %+v", produced)
	}
	at, err := time.Parse(clickedAtLayout, response.header.Get(clickedAtHeader))
	if err != nil || !at.Equal(produced[0].ClickedAt) || time.Since(at) > time.Minute {
		t.Errorf("clicked at %q, produced %v", response.header.Get(clickedAtHeader), produced[0].ClickedAt)
	}
}

func TestRepeatedClickTellsTheFirstClicksTime(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	token := g.token(t, 5, 0)
	first := g.request(t, "GET", "/click?t="+token, nil)
	second := g.request(t, "GET", "/click?t="+token, nil)
	if second.status != http.StatusFound || second.header.Get(clickedAtHeader) != first.header.Get(clickedAtHeader) {
		t.Errorf("first %v, second %d %v", first.header, second.status, second.header)
	}
	if n := len(g.stream.produced()); n != 1 {
		t.Errorf("%d clicks produced", n)
	}
}

func TestClicksThatRedirectButDoNotCount(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	paused := testAd(6)
	paused.Status = click.AdPaused
	g.addAd(paused)
	for name, c := range map[string]struct {
		method, token string
		header        http.Header
	}{
		"expired":   {"GET", g.token(t, 5, 25*time.Hour), nil},
		"paused":    {"GET", g.token(t, 6, 0), nil},
		"prefetch":  {"GET", g.token(t, 5, 0), http.Header{"Sec-Purpose": {"prefetch"}}},
		"prerender": {"GET", g.token(t, 5, 0), http.Header{"Sec-Purpose": {"prefetch;prerender"}}},
		"head":      {"HEAD", g.token(t, 5, 0), nil},
	} {
		response := g.request(t, c.method, "/click?t="+c.token, c.header)
		if response.status != http.StatusFound || response.header.Get("Location") == "" {
			t.Errorf("%s: %d", name, response.status)
		}
		if _, there := response.header[clickedAtHeader]; there {
			t.Errorf("%s: told to be counted", name)
		}
	}
	if n := len(g.stream.produced()); n != 0 {
		t.Errorf("%d clicks produced", n)
	}
}

func TestRefusedClicksSayWhyAndAreNotProduced(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	good := g.token(t, 5, 0)
	other, err := click.NewKeyring([]click.Key{{ID: 1, Secret: []byte(strings.Repeat("x", 32))}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := click.NewImpressionID(time.Now(), rand.Reader)
	for name, c := range map[string]struct {
		method, query string
		status        int
	}{
		"no token":      {"GET", "", 400},
		"empty token":   {"GET", "?t=", 400},
		"short":         {"GET", "?t=abc", 400},
		"long":          {"GET", "?t=" + good + "A", 400},
		"bad escape":    {"GET", "?t=%zz", 400},
		"header in it":  {"GET", "?t=%0d%0aX-Evil:%201", 400},
		"forged":        {"GET", "?t=" + other.Sign(click.Token{AdID: 5, Impression: id, FanOut: 1}), 403},
		"future":        {"GET", "?t=" + g.token(t, 5, -time.Minute), 403},
		"unknown ad":    {"GET", "?t=" + g.token(t, 99, 0), 404},
		"post":          {"POST", "?t=" + good, 405},
		"other markers": {"GET", "?T=" + good + "&x=t=" + good, 400},
	} {
		response := g.request(t, c.method, "/click"+c.query, nil)
		if response.status != c.status || response.header.Get("Location") != "" || response.header.Get("X-Evil") != "" {
			t.Errorf("%s: %d %v", name, response.status, response.header)
		}
		if !strings.HasSuffix(response.body, ".\n") || strings.Contains(response.body, "Evil") {
			t.Errorf("%s: response.body %q", name, response.body)
		}
	}
	if n := len(g.stream.produced()); n != 0 {
		t.Errorf("%d clicks produced", n)
	}
	if strings.Contains(g.logs.String(), good) {
		t.Error("a token was logged")
	}
}

func TestTokenIsFoundAmongOtherParametersAndUnescaped(t *testing.T) {
	for query, want := range map[string]string{
		"t=abc": "abc", "utm=1&t=abc&z=2": "abc", "t=a%62c": "abc", "t=abc&t=def": "abc", "x&t=abc": "abc",
	} {
		if got, ok := tokenOf(query); !ok || got != want {
			t.Errorf("%q: %q, %v", query, got, ok)
		}
	}
}

func TestKafkaAwayGoesToTheJournalAndIsAcknowledged(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	g.stream.set(func(s *memoryStream) { s.away = true })
	token := g.token(t, 5, 0)
	first := g.request(t, "GET", "/click?t="+token, nil)
	told := first.header.Get(clickedAtHeader)
	held := g.journal.held()
	if first.status != http.StatusFound || len(held) != 1 || told != held[0].ClickedAt.Format(clickedAtLayout) {
		t.Fatalf("%d, told %q, journal %+v", first.status, told, held)
	}
	if again := g.request(t, "GET", "/click?t="+token, nil); again.status != http.StatusFound || again.header.Get(clickedAtHeader) != told {
		t.Errorf("again: %d, %v", again.status, again.header)
	}
	if n := len(g.journal.held()); n != 1 {
		t.Errorf("%d clicks in the journal", n)
	}
}

func TestBreakerOpensByMissesAndTheDrainClosesIt(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	g.stream.set(func(s *memoryStream) { s.late = true })
	for range missesMax + 3 {
		g.request(t, "GET", "/click?t="+g.token(t, 5, 0), nil)
	}
	if tried := len(g.stream.produced()); tried != missesMax || g.breaker.Closed() {
		t.Fatalf("%d clicks waited for Kafka, closed: %v", tried, g.breaker.Closed())
	}
	g.stream.set(func(s *memoryStream) { s.late = false })
	ctx, cancel := context.WithCancel(t.Context())
	var drained sync.WaitGroup
	drain := &Drain{Log: slog.New(slog.DiscardHandler), Journal: g.journal, Producer: g.stream, Breaker: g.breaker, InTime: time.Minute, Pause: time.Millisecond}
	drained.Go(func() { drain.Run(ctx) })
	for len(g.journal.held()) > 0 || !g.breaker.Closed() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	drained.Wait()
	arrivals := map[click.ArrivalID]int{}
	for _, c := range g.stream.produced() {
		arrivals[c.Arrival]++
	}
	if len(arrivals) != missesMax+3 {
		t.Errorf("%d clicks arrived in Kafka, %d were made", len(arrivals), missesMax+3)
	}
	if n := strings.Count(g.logs.String(), "kafka does not take clicks in time"); n != 1 {
		t.Errorf("the outage was logged %d times", n)
	}
}

// A click that neither takes is redirected, and the answer says by what it
// lacks that it was not recorded.
func TestFullJournalRedirectsWithoutTheHeader(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	g.stream.set(func(s *memoryStream) { s.away = true })
	g.journal.refuse(errors.New("the journal is full"))
	token := g.token(t, 5, 0)
	for range 3 {
		response := g.request(t, "GET", "/click?t="+token, nil)
		if response.status != http.StatusFound || response.header.Get("Location") == "" || response.header.Get(clickedAtHeader) != "" {
			t.Fatalf("%d %v", response.status, response.header)
		}
	}
	api := g.as("")
	done, err := api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: token})
	if err != nil || done.GetVerdict() != v1.Verdict_VERDICT_NOT_RECORDED || done.GetClickedAt() != nil || done.GetLandingUrl() == "" {
		t.Errorf("%v, %v", done, err)
	}
	if n := strings.Count(g.logs.String(), "CLICKS ARE LOST"); n != 1 {
		t.Errorf("the loss was logged %d times", n)
	}
	g.journal.refuse(nil)
	if response := g.request(t, "GET", "/click?t="+token, nil); response.header.Get(clickedAtHeader) == "" {
		t.Errorf("with room again: %d %v", response.status, response.header)
	}
}

func TestUnreadyClockIsNoticedAndForgotten(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	g.stream.set(func(s *memoryStream) { s.skew = -5 * time.Second })
	g.request(t, "GET", "/click?t="+g.token(t, 5, 0), nil)
	if err := g.server.Recorder.CheckClock(t.Context()); err == nil {
		t.Errorf("an offset of %v was accepted", g.server.Recorder.ClockOffset())
	}
	g.server.Recorder.now = func() time.Time { return time.Now().Add(2 * clockReadingLife) }
	if err := g.server.Recorder.CheckClock(t.Context()); err != nil {
		t.Errorf("an old reading still counts: %v", err)
	}
	g.server.Recorder.now = time.Now
	g.stream.set(func(s *memoryStream) { s.skew = 0 })
	g.request(t, "GET", "/click?t="+g.token(t, 5, 0), nil)
	if err := g.server.Recorder.CheckClock(t.Context()); err != nil {
		t.Errorf("a right clock: %v", err)
	}
}

// What was refused may have landed, and then it is the click that counts: the
// time told to the next try must be the same, also across a minute's end.
func TestRetryOfAClickThatMayHaveLandedIsDatedAlike(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	token, now := g.token(t, 5, 0), time.Now()
	g.server.Recorder.now = func() time.Time { return now }
	g.stream.set(func(s *memoryStream) { s.late = true })
	g.journal.refuse(errors.New("no room"))
	if response := g.request(t, "GET", "/click?t="+token, nil); response.header.Get(clickedAtHeader) != "" {
		t.Fatalf("answered %d %v", response.status, response.header)
	}
	g.stream.set(func(s *memoryStream) { s.late = false })
	now = now.Add(3 * time.Second)
	told := g.request(t, "GET", "/click?t="+token, nil).header.Get(clickedAtHeader)
	produced := g.stream.produced()
	if len(produced) != 2 || told != produced[0].ClickedAt.Format(clickedAtLayout) || !produced[1].ClickedAt.Equal(produced[0].ClickedAt) {
		t.Errorf("told %s, produced %+v", told, produced)
	}
	if produced[0].Arrival == produced[1].Arrival {
		t.Error("two requests share an arrival id")
	}
}

func TestRecentClicksAreBoundedAndKeepTheFirst(t *testing.T) {
	recent := new(recentClicks)
	at := time.UnixMilli(1_795_428_000_123).UTC()
	same := func(i byte) click.ImpressionID { // one set
		return click.ImpressionID{0: i, 6: 0x70, 8: 0x80}
	}
	for _, c := range []struct {
		step  string
		after time.Duration
		want  time.Duration
	}{
		{"the first", 0, 0},
		{"a copy at the same instant", -time.Millisecond, 0},
		{"a try after a failure", unackedLife, 0},
		{"a click long after one that failed", 2 * unackedLife, 2 * unackedLife},
	} {
		if got, acked := recent.meet(same(1), at.Add(c.after)); acked || !got.Equal(at.Add(c.want)) {
			t.Errorf("%s: %v, %v", c.step, got, acked)
		}
	}
	recent.acked(same(1), at)
	recent.acked(same(1), at.Add(time.Second))
	if got, acked := recent.meet(same(1), at.Add(time.Hour)); !acked || !got.Equal(at) {
		t.Errorf("found %v, %v", got, acked)
	}
	for i := byte(2); i < 2+recentWays; i++ {
		recent.acked(same(i), at)
	}
	if _, acked := recent.meet(same(3), at); !acked {
		t.Error("a younger one is gone")
	}
	if _, acked := recent.meet(same(1), at); acked {
		t.Error("the oldest of a full set is still there")
	}
}

// BenchmarkClick is one click without the network: handler, look-up, produce.
func BenchmarkClick(b *testing.B) {
	g := newGateway(b)
	g.addAd(testAd(5))
	recorder, err := NewRecorder(g.ring, g.ads, ackAtOnce{}, &memoryJournal{}, new(Breaker), newReporter(b, &memoryStream{}), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.Fatal(err)
	}
	handler := newClickHandler(recorder, recorder.metrics, newOutages(slog.New(slog.DiscardHandler)))
	requests := make([]*http.Request, b.N)
	for i := range requests {
		requests[i] = httptest.NewRequest(http.MethodGet, "/click?t="+g.token(b, 5, 0), nil)
	}
	answer := &discardAnswer{header: http.Header{}}
	b.ReportAllocs()
	b.ResetTimer()
	for _, request := range requests {
		clear(answer.header)
		handler.ServeHTTP(answer, request)
		if answer.status != http.StatusFound || answer.header[clickedAtHeader] == nil {
			b.Fatal("answered ", answer.status)
		}
	}
}

type ackAtOnce struct{}

func (ackAtOnce) Produce(_ context.Context, c click.Routed) (click.Position, time.Time, error) {
	return click.Position{}, c.ClickedAt, nil
}

type discardAnswer struct {
	header http.Header
	status int
}

func (d *discardAnswer) Header() http.Header         { return d.header }
func (d *discardAnswer) WriteHeader(status int)      { d.status = status }
func (d *discardAnswer) Write(p []byte) (int, error) { return len(p), nil }
