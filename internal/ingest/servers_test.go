package ingest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/ingest"
	"clickledger/internal/kafka"
	"clickledger/internal/stacktest"
	"clickledger/internal/valkey"
)

const waitMax = time.Minute

// servers are the real ones, under a namespace of the test's own.
type servers struct {
	config    config.Config
	variables map[string]string // that config was read from
	producer  *kafka.Producer
	admin     *kafka.Admin
	store     *clickhouse.Store
	seen      *valkey.SeenIndex
	rows      ch.Conn
	rebuilds  atomic.Int32
}

func newServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{variables: stacktest.Variables(t)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.config, err = config.LoadFrom(s.variables)
	must(err)
	s.config.ProduceTimeout = waitMax // a busy machine is no fault
	s.admin, err = kafka.NewAdmin(s.config)
	must(err)
	t.Cleanup(s.admin.Close)
	stacktest.Cleanup(t, "topics", s.admin.Drop)
	must(s.admin.Setup(t.Context()))
	must(clickhouse.Migrate(t.Context(), s.config))
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, s.config) })
	s.store, err = clickhouse.Open(s.config)
	must(err)
	t.Cleanup(func() { _ = s.store.Close() })
	s.seen, err = valkey.OpenSeenIndex(s.config)
	must(err)
	t.Cleanup(s.seen.Close)
	stacktest.Cleanup(t, "seen index", s.seen.Drop)
	s.producer, err = kafka.NewProducer(s.config)
	must(err)
	t.Cleanup(func() { _ = s.producer.Close(context.Background()) })
	s.rows, err = ch.Open(&ch.Options{Addr: s.config.ClickHouseAddrs, Auth: ch.Auth{
		Database: s.config.Database(), Username: s.config.ClickHouseUser, Password: s.config.ClickHousePassword,
	}})
	must(err)
	t.Cleanup(func() { _ = s.rows.Close() })
	return s
}

// rebuild does what the workflow does, at once.
func (s *servers) rebuild(ctx context.Context) error {
	s.rebuilds.Add(1)
	nonce := rand.Text()
	runID, err := s.seen.BeginRebuild(ctx, nonce, nil)
	if err != nil {
		return err
	}
	err = s.store.StreamImpressions(ctx, click.SeenSince(s.config.TokenValidity, time.Now()), func(ids []click.ImpressionID) error {
		return s.seen.Mark(ctx, ids)
	})
	if err != nil {
		return err
	}
	_, err = s.seen.FinishRebuild(ctx, nonce, runID)
	return err
}

func (s *servers) parts() ingest.Parts {
	log := slog.New(slog.DiscardHandler)
	return ingest.Parts{
		Log: log, Registry: prometheus.NewRegistry(), Validity: s.config.TokenValidity, BatchInterval: s.config.BatchInterval, Store: s.store, Seen: s.seen,
		Join: func(context.Context) (ingest.Stream, error) {
			return kafka.NewConsumer(s.config, log, kafka.UsualMembership(""))
		},
		RebuildSeen: s.rebuild,
	}
}

// start runs an ingester until the returned function is called or it crashes.
func start(t *testing.T, parts ingest.Parts) (ended <-chan error, stop func()) {
	t.Helper()
	ingester, err := ingest.New(parts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ingester.Run(ctx) }()
	t.Cleanup(cancel)
	return done, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// click sends one click per impression, twice those whose index is even.
func (s *servers) click(t *testing.T, ids []click.ImpressionID) {
	t.Helper()
	for i, id := range ids {
		for copies := range 2 - i%2 {
			_, _, err := s.producer.Produce(t.Context(), click.Routed{FanOut: 1, Click: click.Click{
				AdID: int64(i%7) + 1, AdvertiserID: 5, Impression: id,
				ClickedAt: time.Now(), Arrival: click.NewArrivalID(1, uint64(2*i+copies)),
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func impressions(t *testing.T, n int) []click.ImpressionID {
	t.Helper()
	ids := make([]click.ImpressionID, n)
	for i := range ids {
		id, err := click.NewImpressionID(time.Now().Add(-time.Duration(i)*time.Second), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

// committed waits until the group has committed everything there is.
func (s *servers) committed(t *testing.T) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(waitMax)
	for {
		lags, err := s.admin.Lag(t.Context())
		behind := int64(0)
		for _, lag := range lags {
			behind += lag.End - lag.Committed
		}
		if err == nil && behind == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%d records are not committed: %v", behind, err)
		}
	}
}

func (s *servers) wantStored(t *testing.T, want int) {
	t.Helper()
	var rows, distinct uint64
	err := s.rows.QueryRow(t.Context(), "SELECT count(), uniqExact(impression_id) FROM clicks FINAL").Scan(&rows, &distinct)
	if err != nil || rows != uint64(want) || distinct != uint64(want) {
		t.Errorf("%d rows of %d impressions are stored, want %d: %v", rows, distinct, want, err)
	}
}

func TestClicksOfTheStreamAreStoredOnce(t *testing.T) {
	s := newServers(t)
	ids := impressions(t, 400)
	s.click(t, ids[:200])
	_, stop := start(t, s.parts())
	s.click(t, ids) // the first half again, and the second
	s.committed(t)
	s.wantStored(t, len(ids))
	stop()
	if rebuilds := s.rebuilds.Load(); rebuilds != 1 {
		t.Errorf("the empty index was built %d times", rebuilds)
	}
}

func TestWipedSeenIndexCountsNothingTwice(t *testing.T) {
	s := newServers(t)
	ids := impressions(t, 300)
	_, stop := start(t, s.parts())
	defer stop()
	s.click(t, ids)
	s.committed(t)
	if err := s.seen.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.click(t, ids) // duplicates of what only the store remembers now
	s.committed(t)
	s.wantStored(t, len(ids))
	if rebuilds := s.rebuilds.Load(); rebuilds != 2 {
		t.Errorf("rebuilt %d times, want once more than at first", rebuilds)
	}
}

var errCrash = errors.New("crash")

// crashing ends the ingester right after a step, as if the process had died.
type crashing struct {
	*valkey.SeenIndex
	ingest.Stream
	step        string
	crashes     *atomic.Int32
	afterTheEnd error
}

func (c crashing) after(step string, err error) error {
	if err == nil && step == c.step && c.crashes.Add(1) == 1 {
		return c.afterTheEnd
	}
	return err
}

type crashingSeen struct{ crashing }

func (c crashingSeen) Mark(ctx context.Context, ids []click.ImpressionID) error {
	return c.after("mark", c.SeenIndex.Mark(ctx, ids))
}

type crashingStream struct{ crashing }

func (c crashingStream) Commit(ctx context.Context) error {
	return c.after("commit", c.Stream.Commit(ctx))
}

type crashingStore struct {
	*clickhouse.Store
	crashing
}

func (c crashingStore) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	return c.after("insert", c.Store.InsertClicks(ctx, clicks))
}

func TestCrashAfterAnyStepChangesNoCountOnTheServers(t *testing.T) {
	for _, step := range []string{"insert", "mark", "commit"} {
		t.Run(step, func(t *testing.T) {
			s := newServers(t)
			ids := impressions(t, 200)
			s.click(t, ids)

			parts := s.parts()
			c := crashing{SeenIndex: s.seen, step: step, crashes: new(atomic.Int32), afterTheEnd: errors.Join(ingest.ErrFatal, errCrash)}
			parts.Seen, parts.Store = crashingSeen{c}, crashingStore{s.store, c}
			join := parts.Join
			parts.Join = func(ctx context.Context) (ingest.Stream, error) {
				stream, err := join(ctx)
				joined := c
				joined.Stream = stream
				return crashingStream{joined}, err
			}
			ended, _ := start(t, parts)
			select {
			case err := <-ended:
				if !errors.Is(err, errCrash) {
					t.Fatalf("ended with %v", err)
				}
			case <-time.After(waitMax):
				t.Fatal("it did not crash")
			}

			_, stop := start(t, s.parts())
			s.click(t, ids[:50])
			s.committed(t)
			s.wantStored(t, len(ids))
			stop()
		})
	}
}
