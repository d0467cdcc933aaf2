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

const testAdminKey = "the-admin-key-of-tests"

// memoryStore is a store in memory, with an outage.
type memoryStore struct {
	mu          sync.Mutex
	away        bool
	version     uint64
	reads       int
	ads         map[int64]click.Ad
	advertisers map[int64]click.Advertiser
	keys        map[int64]click.APIKey
	sealed      time.Time
	hot         []click.FanOut
	figures     func(FiguresQuery) Figures
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
	ads      *Ads
	ring     *click.Keyring
	logs     *lockedBuffer
	server   *Server
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	g := &gateway{
		store: newMemoryStore(), cache: &memoryCache{rows: map[int64]click.Ad{}},
		stream: &memoryStream{}, journal: &memoryJournal{added: make(chan struct{})}, logs: &lockedBuffer{},
	}
	c := config.Config{
		Namespace: "test", AdminKey: testAdminKey, TokenValidity: 24 * time.Hour, PublicURL: "https://click.example.com/",
		TokenKeys: config.TokenKeys{{ID: 1, Secret: []byte(strings.Repeat("k", 32))}},
	}
	var err error
	if g.ads, err = NewAds(g.cache, g.store); err != nil {
		t.Fatal(err)
	}
	if g.ring, err = click.NewKeyring(c.TokenKeys, c.TokenValidity); err != nil {
		t.Fatal(err)
	}
	log, registry := slog.New(slog.NewJSONHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), prometheus.NewRegistry()
	g.breaker = NewBreaker(log, registry)
	g.breaker.Close()
	g.server, err = New(Parts{
		Config: c, Log: log, Registry: registry, Journal: g.journal, Breaker: g.breaker, Gateways: &g.gateways, Seen: &g.seen, Ads: g.ads, Producer: g.stream, Filtered: g.stream, Store: g.store, Stream: g.stream, Cache: g.cache,
		Readyz: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
	})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = g.server.http
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
