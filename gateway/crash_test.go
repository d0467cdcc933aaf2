package main

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"clickledger/gateway/server"
	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/journal"
	"clickledger/internal/kafka"
)

// The gateway is killed at every boundary of its steps: before and after
// produce, journal write, and each step of the drain; acks get lost, Kafka goes
// away and comes back, people click again. Kafka is kfake, the journal the real
// one: what its file holds at the moment of the crash is what the next life
// finds. At the end every acknowledged impression must be in the stream, and
// the one of its records that counts, the one with the lowest offset, must be
// dated like one of its clicks.
//
// CRASH_SEED=n runs one schedule again.
const (
	crashSchedules  = 300
	livesMax        = 4
	clicksOfLifeMax = 25
	crashAds        = 3
)

func TestCrashPointsOfTheGateway(t *testing.T) {
	first, count := uint64(time.Now().UnixNano()), uint64(crashSchedules)
	if text := os.Getenv("CRASH_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("CRASH_SEED is no number: %v", err)
		}
		first, count = seed, 1
	}
	c := crashConfig(t)
	schedules, owners := make([]*schedule, 0, count), map[click.ImpressionID]*schedule{}
	for seed := first; seed < first+count; seed++ {
		s := newSchedule(t, c, seed)
		s.run(t)
		schedules = append(schedules, s)
		for _, id := range s.ids {
			owners[id] = s
		}
	}
	for _, record := range streamOf(t, c) { // once: a read waits for more records each time
		s, ok := owners[record.Impression]
		if !ok {
			t.Fatalf("nobody clicked %s", record.Impression)
		}
		s.records = append(s.records, record)
	}
	kinds := map[string]int{}
	for _, s := range schedules {
		s.check(t)
		for kind, n := range s.happened {
			kinds[kind] += n
		}
		if t.Failed() {
			t.Fatalf("the schedule that failed: CRASH_SEED=%d", s.seed)
		}
	}
	if count == 1 {
		return
	}
	for _, point := range crashPoints {
		if kinds["crash "+point] == 0 {
			t.Errorf("no gateway was killed %s", point)
		}
	}
	t.Logf("%d schedules: %v", count, kinds)
}

var crashPoints = []string{
	"before produce", "after produce", "before journal write", "after journal write",
	"before drain produce", "after drain produce", "before drain remove", "after drain remove",
}

var errCrashed = errors.New("the gateway is dead")

// schedule is one seeded history of a gateway.
type schedule struct {
	seed    uint64
	records []click.Placed // of its impressions, in the end
	config  config.Config
	ring    *click.Keyring
	folder  string
	path    string // of the journal of the present life

	mu       sync.Mutex
	random   *rand.Rand
	happened map[string]int
	calm     bool // nothing fails any more
	away     bool // Kafka

	clicked map[click.ImpressionID]*fate
	tokens  []string
	ids     []click.ImpressionID
}

// fate is what is known of an impression.
type fate struct {
	acknowledged bool
	told         map[string]bool // times that answers named
	unanswered   int             // clicks that got no answer, or one without a time
}

// crashConfig is of a Kafka in memory.
func crashConfig(t *testing.T) config.Config {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "crash.clicks"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return config.Config{
		Namespace: "crash", KafkaBrokers: cluster.ListenAddrs(), Partitions: 3, ProduceTimeout: 5 * time.Second,
		TokenKeys: config.TokenKeys{{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}}, TokenValidity: time.Hour,
		AdminKey: "the-admin-key-of-tests", PublicURL: "http://127.0.0.1",
	}
}

func newSchedule(t *testing.T, c config.Config, seed uint64) *schedule {
	t.Helper()
	ring, err := click.NewKeyring(c.TokenKeys, c.TokenValidity)
	if err != nil {
		t.Fatal(err)
	}
	return &schedule{
		seed: seed, config: c, ring: ring, folder: t.TempDir(), random: rand.New(rand.NewPCG(seed, 0)),
		happened: map[string]int{}, clicked: map[click.ImpressionID]*fate{},
	}
}

// chance is true once in n times, unless all is calm.
func (s *schedule) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.calm && s.random.IntN(n) == 0
}

func (s *schedule) number(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

func (s *schedule) note(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.happened[kind]++
}

func (s *schedule) run(t *testing.T) {
	s.path = filepath.Join(s.folder, "0.db")
	lives := 1 + s.number(livesMax)
	for n := range lives {
		s.live(t, n+1, 1+s.number(clicksOfLifeMax))
	}
	s.mu.Lock()
	s.calm, s.away = true, false
	s.mu.Unlock()
	s.live(t, lives+1, 3)
}

// live is one life of the gateway, to its crash or its clean stop.
func (s *schedule) live(t *testing.T, number, clicks int) {
	kept, err := journal.Open(s.path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(s.config)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{schedule: s, journal: kept, producer: producer, next: filepath.Join(s.folder, fmt.Sprintf("%d.db", number)), path: s.path}
	ads, err := server.NewAds(crashAdsCache{}, crashAdsCache{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	breaker := server.NewBreaker(log, registry)
	breaker.Close()
	gateway, err := server.New(crashParts(s.config, log, registry, ads, l, breaker))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var behind sync.WaitGroup
	drain := &server.Drain{Log: log, Journal: l, Producer: l, Breaker: breaker, InTime: time.Minute, Pause: time.Millisecond}
	behind.Go(func() { drain.Run(ctx) })

	for range clicks {
		if l.dead() {
			break
		}
		if s.chance(8) {
			s.mu.Lock()
			s.away = !s.away
			s.mu.Unlock()
		}
		s.click(t, l, gateway.Handler())
	}
	for s.isCalm() && kept.Held().Depth > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	behind.Wait()
	if !l.dead() {
		l.end("clean stop")
	}
	_ = kept.Close()
	flushed, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	_ = producer.Close(flushed)
	s.path = l.next
}

func (s *schedule) isCalm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calm
}

// click makes a click on a new impression or again on an old one.
func (s *schedule) click(t *testing.T, l *life, handler http.Handler) {
	i := len(s.tokens)
	if i > 0 && s.number(3) == 0 {
		i = s.number(len(s.tokens))
	} else {
		id, err := click.NewImpressionID(time.Now(), cryptorand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.ids = append(s.ids, id)
		s.tokens = append(s.tokens, s.ring.Sign(click.Token{AdID: int64(1 + s.number(crashAds)), Impression: id, FanOut: uint8(1 + s.number(3))}))
		s.clicked[id] = &fate{told: map[string]bool{}}
	}
	fate := s.clicked[s.ids[i]]
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/click?t="+s.tokens[i], nil))
	told := answer.Header().Get("Clickledger-Clicked-At")
	switch {
	case l.dead(): // whatever it would have answered, nobody heard it
		fate.unanswered++
	case answer.Code != http.StatusFound:
		t.Errorf("answered %d %s", answer.Code, answer.Body)
	case told == "":
		fate.unanswered++
		s.note("declared not recorded")
	default:
		fate.acknowledged = true
		fate.told[told] = true
	}
}

// check judges the records as the ingester does.
func (s *schedule) check(t *testing.T) {
	counted := map[click.ImpressionID]click.Placed{}
	arrivals := map[click.ArrivalID]click.Click{}
	for _, c := range s.records {
		if before, ok := arrivals[c.Arrival]; ok && before != c.Click {
			t.Errorf("one arrival id, two clicks: %+v, %+v", before, c.Click)
		} else if ok {
			s.note("copy")
		}
		arrivals[c.Arrival] = c.Click
		first, met := counted[c.Impression]
		if met && first.Partition != c.Partition {
			t.Errorf("an impression in partitions %d and %d", first.Partition, c.Partition)
		}
		if !met || c.Offset < first.Offset {
			counted[c.Impression] = c
		}
	}
	for id, fate := range s.clicked {
		c, stored := counted[id]
		switch {
		case fate.acknowledged && !stored:
			t.Errorf("acknowledged and lost: %s", id)
		case stored && fate.unanswered == 0 && !fate.told[c.ClickedAt.Format("2006-01-02T15:04:05.000Z")]:
			t.Errorf("%s counts at %v, the answers named %v", id, c.ClickedAt, fate.told)
		}
	}
}

// streamOf is every record of the clicks topic.
func streamOf(t *testing.T, c config.Config) []click.Placed {
	t.Helper()
	consumer, err := kafka.NewConsumer(c, slog.New(slog.DiscardHandler), kafka.UsualMembership(""))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Leave()
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	lags, err := admin.Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for _, p := range lags {
		want += p.End
	}
	var all []click.Placed
	for int64(len(all)) < want {
		clicks, dead, err := consumer.Gather(t.Context(), time.Now())
		if err != nil || len(dead) > 0 {
			t.Fatalf("%v, %v", dead, err)
		}
		all = append(all, clicks...)
		if err := consumer.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		consumer.Release()
	}
	return all
}

// life stands between a gateway and its servers, and kills it.
type life struct {
	*schedule
	journal  *journal.Journal
	producer *kafka.Producer
	path     string
	next     string // what the next life finds

	// steps are in progress while it is read-locked: the file is copied between
	// them, as the disk would have it.
	steps sync.RWMutex
	ended bool
}

func (l *life) dead() bool {
	l.steps.RLock()
	defer l.steps.RUnlock()
	return l.ended
}

// end takes the journal's file as it is now: what comes later did not happen.
func (l *life) end(how string) {
	l.steps.Lock()
	defer l.steps.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	l.note(how)
	content, err := os.ReadFile(l.path)
	if err == nil {
		err = os.WriteFile(l.next, content, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// at is a boundary between two steps.
func (l *life) at(point string) error {
	if l.chance(40) {
		l.end("crash " + point)
	}
	if l.dead() {
		return errCrashed
	}
	return nil
}

// step does one step, unless the gateway is dead.
func (l *life) step(do func() error) error {
	l.steps.RLock()
	defer l.steps.RUnlock()
	if l.ended {
		return errCrashed
	}
	return do()
}

func (l *life) kafkaAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.away
}

func (l *life) Produce(ctx context.Context, r click.Routed) (at click.Position, appended time.Time, err error) {
	if err := l.at("before produce"); err != nil {
		return at, appended, err
	}
	if l.kafkaAway() {
		return at, appended, click.ErrUnavailable
	}
	err = l.step(func() (err error) {
		at, appended, err = l.producer.Produce(ctx, r)
		return err
	})
	if err == nil && l.chance(5) {
		l.note("lost ack")
		err = click.ErrUnavailable
	}
	return at, appended, errors.Join(err, l.at("after produce"))
}

func (l *life) Append(ctx context.Context, r click.Routed) error {
	if err := l.at("before journal write"); err != nil {
		return err
	}
	if l.chance(20) {
		return journal.ErrFull
	}
	err := l.step(func() error { return l.journal.Append(ctx, r) })
	return errors.Join(err, l.at("after journal write"))
}

func (l *life) ProduceAll(ctx context.Context, clicks []click.Routed) []error {
	faults := make([]error, len(clicks))
	err := l.at("before drain produce")
	if err == nil && l.kafkaAway() {
		err = click.ErrUnavailable
	}
	if err == nil {
		err = l.step(func() error {
			faults = l.producer.ProduceAll(ctx, clicks)
			return nil
		})
	}
	err = errors.Join(err, l.at("after drain produce"))
	for i := range faults {
		if err != nil {
			faults[i] = err
		} else if faults[i] == nil && l.chance(5) {
			faults[i] = click.ErrUnavailable
		}
	}
	return faults
}

func (l *life) Oldest(limit int) ([]click.Journalled, error) { return l.journal.Oldest(limit) }

func (l *life) Remove(clicks []click.Journalled) error {
	if err := l.at("before drain remove"); err != nil {
		return err
	}
	err := l.step(func() error { return l.journal.Remove(clicks) })
	return errors.Join(err, l.at("after drain remove"))
}

func (l *life) Added() <-chan struct{}     { return l.journal.Added() }
func (l *life) Ping(context.Context) error { return nil }

// crashAdsCache knows every ad.
type crashAdsCache struct{}

func (crashAdsCache) Ad(_ context.Context, id int64) (click.Ad, error) {
	return click.Ad{ID: id, AdvertiserID: 7, Name: "ad", LandingURL: "https://shop.example.com/", Status: click.AdActive, FanOut: 1, Version: 1}, nil
}

func (c crashAdsCache) Get(ctx context.Context, id int64) (click.Ad, error) { return c.Ad(ctx, id) }
func (crashAdsCache) Put(context.Context, ...click.Ad) error                { return nil }
func (crashAdsCache) Ping(context.Context) error                            { return nil }
func (crashAdsCache) CheckMemory(context.Context) (string, error)           { return "", nil }
func (crashAdsCache) List(context.Context) ([]click.GatewayState, error)    { return nil, nil }
func (crashAdsCache) TellRevoked(context.Context, int64) error              { return nil }
func (crashAdsCache) State(context.Context) (click.ArchiveState, error) {
	return click.ArchiveState{}, nil
}

func crashParts(c config.Config, log *slog.Logger, registry *prometheus.Registry, ads *server.Ads, l *life, b *server.Breaker) server.Parts {
	return server.Parts{
		Config: c, Log: log, Registry: registry, Ads: ads, Producer: l, Journal: l, Breaker: b, Filtered: noReports{},
		Store: store{}, Stream: stream{}, Letters: stream{}, Gateways: crashAdsCache{}, Cache: crashAdsCache{}, Seen: crashAdsCache{}, Archive: crashAdsCache{}, Readyz: func(http.ResponseWriter, *http.Request) {},
	}
}

// noReports takes what is not counted: it is no part of these histories.
type noReports struct{}

func (noReports) SendFiltered(context.Context, []click.Filtered) error { return nil }
