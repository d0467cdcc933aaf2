package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	testAdminKey = "the-admin-key-of-tests"
	testAdsBytes = 16 << 20
)

// memoryStore is a store in memory, with an outage.
type memoryStore struct {
	mu          sync.Mutex
	away        bool
	version     uint64
	reads       int
	ads         map[int64]click.Ad
	changes     []click.AdChange
	advertisers map[int64]click.Advertiser
	keys        map[int64]click.APIKey
	sealed      time.Time
	hot         []click.FanOut
	actions     []click.LetterAction
	record      memoryRecord
	trail       memoryTrail
	figures     func(FiguresQuery) Figures
	// The past: when it begins, until when it is settled, and what was asked of it.
	ledger, settled time.Time
	corrections     []click.Correction
	corrected       []CorrectionsQuery
	memoryLive
}

// memoryLive is the recent minutes, in memory.
type memoryLive struct {
	liveMu                                      sync.Mutex
	fresh, finals, restated, ledger, announcing []LiveFigure
	questions                                   int
	failing                                     error
	failsAt                                     int   // so many questions from now one is not answered; 0: none
	awayID                                      int64 // of the advertiser whose shard is away; 0: none is
}

// liveOf is live for what is on the shards of some advertisers.
func (m *memoryLive) liveOf(advertisers []int64, of *[]LiveFigure, from, to time.Time, matches func(LiveFigure) bool) ([]LiveFigure, error) {
	figures, err := m.live(of, from, to, matches)
	m.liveMu.Lock()
	defer m.liveMu.Unlock()
	if m.awayID != 0 && slices.Contains(advertisers, m.awayID) {
		return nil, click.ErrUnavailable
	}
	return figures, err
}

func (q LiveQuery) advertisers() []int64 {
	all := slices.Concat(q.Sums, q.ByAd)
	for _, of := range q.Ads {
		all = append(all, of[0])
	}
	return all
}

func (m *memoryLive) change(change func(*memoryLive)) {
	m.liveMu.Lock()
	defer m.liveMu.Unlock()
	change(m)
}

func (m *memoryLive) live(of *[]LiveFigure, from, to time.Time, matches func(LiveFigure) bool) ([]LiveFigure, error) {
	m.liveMu.Lock()
	defer m.liveMu.Unlock()
	m.questions++
	if m.failsAt--; m.failsAt == 0 {
		return nil, click.ErrUnavailable
	}
	var out []LiveFigure
	for _, f := range *of {
		if !f.Minute.Before(from) && f.Minute.Before(to) && matches(f) {
			out = append(out, f)
		}
	}
	return out, m.failing
}

func (q LiveQuery) matches(f LiveFigure) bool {
	if len(q.Minutes) > 0 && !slices.ContainsFunc(q.Minutes, f.Minute.Equal) {
		return false
	}
	if f.AdID == 0 {
		return slices.Contains(q.Sums, f.AdvertiserID)
	}
	return slices.Contains(q.ByAd, f.AdvertiserID) || slices.Contains(q.Ads, [2]int64{f.AdvertiserID, f.AdID})
}

func (m *memoryLive) LiveFresh(_ context.Context, q LiveQuery) ([]LiveFigure, error) {
	return m.liveOf(q.advertisers(), &m.fresh, q.From, q.To, q.matches)
}

func (m *memoryLive) LiveSealed(_ context.Context, q LiveQuery) ([]LiveFigure, error) {
	return m.liveOf(q.advertisers(), &m.finals, q.From, q.To, q.matches)
}

func (m *memoryLive) LiveRestated(_ context.Context, q LiveQuery) ([]LiveFigure, error) {
	return m.liveOf(q.advertisers(), &m.restated, q.From, q.To, q.matches)
}

func (m *memoryLive) LiveSeals(_ context.Context, from, to time.Time) ([]LiveFigure, error) {
	return m.live(&m.ledger, from, to, func(LiveFigure) bool { return true })
}

func (m *memoryLive) LiveAnnounced(_ context.Context, advertisers []int64, from, to time.Time) ([]LiveFigure, error) {
	return m.liveOf(advertisers, &m.announcing, from, to, func(f LiveFigure) bool { return slices.Contains(append(advertisers, 0), f.AdvertiserID) })
}

func newMemoryStore() *memoryStore {
	return &memoryStore{
		ads: map[int64]click.Ad{}, advertisers: map[int64]click.Advertiser{}, keys: map[int64]click.APIKey{},
		figures: func(FiguresQuery) Figures { return Figures{} },
	}
}

func (m *memoryStore) goAway() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = true
}

// enter counts a read and fails it in an outage.
func (m *memoryStore) enter() error {
	m.mu.Lock()
	m.reads++
	if m.away {
		return click.ErrUnavailable
	}
	return nil
}

func (m *memoryStore) readCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

func (m *memoryStore) Ping(context.Context) error {
	defer m.mu.Unlock()
	return m.enter()
}

func (m *memoryStore) NextVersion(context.Context) (uint64, error) {
	defer m.mu.Unlock()
	err := m.enter()
	m.version++
	return m.version, err
}

func (m *memoryStore) Ad(_ context.Context, id int64) (click.Ad, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return click.Ad{}, err
	}
	ad, ok := m.ads[id]
	if !ok {
		return click.Ad{}, click.ErrNotFound
	}
	return ad, nil
}

func (m *memoryStore) AdsOf(_ context.Context, advertiserID, after int64, limit int) ([]click.Ad, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	var ads []click.Ad
	for _, ad := range m.ads {
		if ad.AdvertiserID == advertiserID && ad.ID > after {
			ads = append(ads, ad)
		}
	}
	slices.SortFunc(ads, func(a, b click.Ad) int { return cmp.Compare(a.ID, b.ID) })
	return ads[:min(limit, len(ads))], nil
}

func (m *memoryStore) InsertAds(_ context.Context, ads []click.Ad) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	for _, ad := range ads {
		if ad.Version > m.ads[ad.ID].Version {
			m.ads[ad.ID] = ad
		}
	}
	return nil
}

func (m *memoryStore) NoteAdChanges(_ context.Context, changes []click.AdChange) error {
	defer m.mu.Unlock()
	err := m.enter()
	if err == nil {
		m.changes = append(m.changes, changes...)
	}
	return err
}

// AdChanges are all there ever were: time is not kept.
func (m *memoryStore) AdChanges(context.Context, time.Time, time.Duration) ([]click.AdChange, time.Time, error) {
	defer m.mu.Unlock()
	err := m.enter()
	return slices.Clone(m.changes), time.Now(), err
}

func (m *memoryStore) AdsByID(_ context.Context, ids []int64) ([]click.Ad, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	var ads []click.Ad
	for _, id := range ids {
		if ad, ok := m.ads[id]; ok {
			ads = append(ads, ad)
		}
	}
	return ads, nil
}

func (m *memoryStore) InsertAdvertiser(_ context.Context, a click.Advertiser, _ uint64) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	m.advertisers[a.ID] = a
	return nil
}

func (m *memoryStore) AdvertiserExists(_ context.Context, id int64) (bool, error) {
	defer m.mu.Unlock()
	err := m.enter()
	_, ok := m.advertisers[id]
	return ok, err
}

func (m *memoryStore) APIKey(_ context.Context, id int64) (click.APIKey, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return click.APIKey{}, err
	}
	key, ok := m.keys[id]
	if !ok {
		return click.APIKey{}, click.ErrNotFound
	}
	return key, nil
}

func (m *memoryStore) APIKeys(_ context.Context, advertiserID, after int64, limit int) ([]click.APIKey, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	var keys []click.APIKey
	for _, key := range m.keys {
		if (advertiserID == 0 || key.AdvertiserID == advertiserID) && key.ID > after {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b click.APIKey) int { return cmp.Compare(a.ID, b.ID) })
	return keys[:min(limit, len(keys))], nil
}

func (m *memoryStore) InsertAPIKey(_ context.Context, k click.APIKey) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	m.keys[k.ID] = k
	return nil
}

func (m *memoryStore) OwnsAds(_ context.Context, advertiserID int64, ids []int64) (bool, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return false, err
	}
	for _, id := range ids {
		if m.ads[id].AdvertiserID != advertiserID {
			return false, nil
		}
	}
	return true, nil
}

func (m *memoryStore) SealedThrough(context.Context) (time.Time, error) {
	defer m.mu.Unlock()
	err := m.enter()
	return m.sealed, err
}

func (m *memoryStore) ReconciledThrough(context.Context) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return click.NewReconciled(m.record.start, m.record.spans).Through()
}

func (m *memoryStore) HotAds(context.Context) ([]click.FanOut, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	return m.hot, nil
}

func (m *memoryStore) Figures(_ context.Context, q FiguresQuery) (Figures, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return Figures{}, err
	}
	return m.figures(q), nil
}

// ReportedAds are the ads that figures name.
func (m *memoryStore) ReportedAds(_ context.Context, q FiguresQuery, after int64) ([]int64, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	var ads []int64
	for _, id := range seriesOf(FiguresQuery{ByAd: true}, m.figures(q)) {
		if id > after && len(ads) < q.FiguresMax {
			ads = append(ads, id)
		}
	}
	return ads, nil
}

// TopAds are the first figures that are sealed.
func (m *memoryStore) TopAds(_ context.Context, q FiguresQuery) ([]AdClicks, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	var ads []AdClicks
	for _, f := range m.figures(q).Sealed {
		if len(ads) < q.FiguresMax {
			ads = append(ads, AdClicks{AdID: f.AdID, Clicks: f.Clicks})
		}
	}
	return ads, nil
}

// SealedThroughAsOf is what is sealed, an hour before.
func (m *memoryStore) SealedThroughAsOf(_ context.Context, asOf time.Time) (time.Time, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return time.Time{}, err
	}
	switch {
	case asOf.Before(m.ledger):
		return time.Time{}, click.ErrBeforeLedger
	case !m.settled.IsZero() && asOf.After(m.settled):
		return time.Time{}, click.ErrNotSettled
	default:
		return m.sealed.Add(-time.Hour), nil
	}
}

// Corrections are those behind the one of the query.
func (m *memoryStore) Corrections(_ context.Context, q CorrectionsQuery) ([]click.Correction, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	m.corrected = append(m.corrected, q)
	var found []click.Correction
	for _, c := range m.corrections {
		if c.AdID > q.After.AdID && len(found) < q.CorrectionsMax {
			found = append(found, c)
		}
	}
	return found, nil
}

// memoryCache is a shared cache in memory, with an outage. It tells nobody of
// changes: tests do.
type memoryCache struct {
	mu   sync.Mutex
	away bool
	rows map[int64]click.Ad
}

func (c *memoryCache) setAway(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
}

func (c *memoryCache) Get(_ context.Context, id int64) (click.Ad, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return click.Ad{}, click.ErrUnavailable
	}
	ad, ok := c.rows[id]
	if !ok {
		return click.Ad{}, click.ErrNotFound
	}
	return ad, nil
}

func (c *memoryCache) Put(_ context.Context, ads ...click.Ad) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return click.ErrUnavailable
	}
	for _, ad := range ads {
		if ad.Version > c.rows[ad.ID].Version {
			c.rows[ad.ID] = ad
		}
	}
	return nil
}

func (c *memoryCache) Ping(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return click.ErrUnavailable
	}
	return nil
}

// memoryStream is Kafka and the ingester's progress, in memory.
type memoryStream struct {
	mu       sync.Mutex
	away     bool
	late     bool // clicks land, but too late for the ack
	clicks   []click.Click
	filtered []click.Filtered
	skew     time.Duration
	behind   time.Duration // the ingester has stored what was appended before now less this
}

func (s *memoryStream) Produce(_ context.Context, r click.Routed) (click.Position, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return click.Position{}, time.Time{}, click.ErrUnavailable
	}
	s.clicks = append(s.clicks, r.Click)
	if s.late {
		return click.Position{}, time.Time{}, click.ErrUnavailable
	}
	return click.Position{Offset: int64(len(s.clicks))}, time.Now().Add(s.skew), nil
}

// memoryJournal is a journal in memory; err refuses what comes.
type memoryJournal struct {
	mu     sync.Mutex
	err    error
	clicks []click.Journalled
	number uint64
	added  chan struct{}
}

func (j *memoryJournal) Append(_ context.Context, r click.Routed) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	j.number++
	j.clicks = append(j.clicks, click.Journalled{Routed: r, Number: j.number})
	return nil
}

func (j *memoryJournal) refuse(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

func (j *memoryJournal) held() []click.Journalled {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.clicks)
}

func (j *memoryJournal) Oldest(limit int) ([]click.Journalled, error) {
	held := j.held()
	return held[:min(limit, len(held))], nil
}

func (j *memoryJournal) Remove(clicks []click.Journalled) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clicks = slices.DeleteFunc(j.clicks, func(c click.Journalled) bool {
		return slices.ContainsFunc(clicks, func(r click.Journalled) bool { return r.Number == c.Number })
	})
	return nil
}

func (j *memoryJournal) Added() <-chan struct{} { return j.added }

// ProduceAll answers for each as Produce does.
func (s *memoryStream) ProduceAll(ctx context.Context, clicks []click.Routed) []error {
	faults := make([]error, len(clicks))
	for i := range clicks {
		_, _, faults[i] = s.Produce(ctx, clicks[i])
	}
	return faults
}

// memoryGateways is what gateways told.
type memoryGateways []click.GatewayState

func (g *memoryGateways) List(context.Context) ([]click.GatewayState, error) { return *g, nil }

func (g *memoryGateways) TellRevoked(context.Context, int64) error { return nil }

func (s *memoryStream) SendFiltered(_ context.Context, entries []click.Filtered) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return click.ErrUnavailable
	}
	s.filtered = append(s.filtered, entries...)
	if s.late {
		return click.ErrUnavailable
	}
	return nil
}

func (s *memoryStream) set(change func(*memoryStream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *memoryStream) produced() []click.Click {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clicks)
}

func (s *memoryStream) Ping(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return click.ErrUnavailable
	}
	return nil
}

func (s *memoryStream) Progress(_ context.Context, notBefore time.Time) (string, []click.PartitionProgress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return "", nil, click.ErrUnavailable
	}
	stored := time.Now().Add(-s.behind)
	return "topic", []click.PartitionProgress{{Committed: stored.UnixMilli(), Required: notBefore.UnixMilli()}}, nil
}

func (s *memoryStream) Lag(context.Context) ([]PartitionLag, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, click.ErrUnavailable
	}
	return []PartitionLag{{Partition: 0, Committed: 40, End: 50}, {Partition: 1, Committed: 7, End: 7}}, nil
}

// memorySeen is how full the seen index says it is.
type memorySeen struct {
	mu    sync.Mutex
	alarm string
	err   error
}

func (s *memorySeen) CheckMemory(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alarm, s.err
}

func (s *memorySeen) set(alarm string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarm, s.err = alarm, err
}

// memoryArchive is how far the lake says it is.
type memoryArchive struct {
	mu    sync.Mutex
	state click.ArchiveState
	err   error
}

func (a *memoryArchive) State(context.Context) (click.ArchiveState, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state, a.err
}

func (a *memoryArchive) set(state click.ArchiveState, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.err = state, err
}

// gateway is a whole server over a real HTTP port, its other servers in memory.
type gateway struct {
	url      string
	store    *memoryStore
	cache    *memoryCache
	stream   *memoryStream
	journal  *memoryJournal
	breaker  *Breaker
	gateways memoryGateways
	seen     memorySeen
	archive  memoryArchive
	letters  memoryLetters
	ads      *Ads
	ring     *click.Keyring
	logs     *lockedBuffer
	server   *Server
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	return newGatewayWith(t, func(*config.Config) {}, func(*http.Server) {})
}

// newGatewayWith is newGateway with other settings, and another HTTP server.
func newGatewayWith(t testing.TB, set func(*config.Config), tune func(*http.Server)) *gateway {
	t.Helper()
	g := &gateway{
		store: newMemoryStore(), cache: &memoryCache{rows: map[int64]click.Ad{}},
		stream: &memoryStream{}, journal: &memoryJournal{added: make(chan struct{})}, logs: &lockedBuffer{},
	}
	c := config.Config{
		Namespace: "test", AdminKey: testAdminKey, TokenValidity: 24 * time.Hour, PublicURL: "https://click.example.com/",
		AdvertiserCallsPerSecond: 10_000, PublisherCallsPerSecond: 10_000, AdminCallsPerSecond: 10_000, ChangesPerSecond: 1_000,
		ReportsAtOnce: 8, ReportRowsMax: 1_000_000,
		TokenKeys: config.TokenKeys{{ID: 1, Secret: []byte(strings.Repeat("k", 32))}},
	}
	set(&c)
	var err error
	if g.ads, err = NewAds(g.cache, g.store, testAdsBytes); err != nil {
		t.Fatal(err)
	}
	if g.ring, err = click.NewKeyring(c.TokenKeys, c.TokenValidity); err != nil {
		t.Fatal(err)
	}
	log, registry := slog.New(slog.NewJSONHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), prometheus.NewRegistry()
	g.breaker = NewBreaker(log, registry)
	g.breaker.Close()
	g.server, err = New(Parts{
		Config: c, Log: log, Registry: registry, Journal: g.journal, Breaker: g.breaker, Gateways: &g.gateways, Seen: &g.seen, Archive: &g.archive, Ads: g.ads, Producer: g.stream, Filtered: g.stream, Store: g.store, Letters: &g.letters, Stream: g.stream, Cache: g.cache,
		Readyz: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
	})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = g.server.http
	tune(listening.Config)
	listening.Start()
	t.Cleanup(listening.Close)
	g.url = listening.URL
	return g
}

// addAd puts an ad into the store, as if made long ago.
func (g *gateway) addAd(ad click.Ad) {
	g.store.mu.Lock()
	defer g.store.mu.Unlock()
	g.store.ads[ad.ID] = ad
}

func testAd(id int64) click.Ad {
	return click.Ad{
		ID: id, AdvertiserID: 7, Name: "ad", LandingURL: "https://shop.example.com/landing?a=1&b=2",
		Status: click.AdActive, FanOut: 1, Version: 1,
	}
}

// lockedBuffer is where a test's server logs to.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
