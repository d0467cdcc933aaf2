package ingest_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/ingest"
	"clickledger/internal/kafka"
)

// deliver puts a click into the stream, as often as asked: copies of each other.
func (s *servers) deliver(t *testing.T, c click.Click, times int) {
	t.Helper()
	for range times {
		if _, _, err := s.producer.Produce(t.Context(), click.Routed{Click: c, FanOut: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

// filtered is how many clicks of advertiser 5 were not counted, by reason.
func (s *servers) filtered(t *testing.T, minute click.Window) []uint64 {
	t.Helper()
	figures, err := s.store.FilteredFigures(t.Context(), clickhouse.ReportQuery{
		AdvertiserID: 5, From: minute.Start(), To: minute.End(), RowsMax: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	sums := make([]uint64, len(click.Reasons()))
	for _, f := range figures {
		for i, n := range f.ByReason {
			sums[i] += n
		}
	}
	return sums
}

// Every click is delivered twice and every other impression clicked again; the
// ingester dies after a step and reads it all once more.
func TestGrossAndNetAddUpAfterACrashOnTheServers(t *testing.T) {
	for _, step := range []string{"insert", "mark", "commit"} {
		t.Run(step, func(t *testing.T) {
			s := newServers(t)
			minute, ids := click.WindowOf(time.Now()), impressions(t, 100)
			for i, id := range ids {
				c := click.Click{
					AdID: int64(i%7) + 1, AdvertiserID: 5, Impression: id,
					ClickedAt: minute.Start().Add(time.Second), Arrival: click.NewArrivalID(1, uint64(2*i)),
				}
				s.deliver(t, c, 2)
				if i%2 == 0 {
					c.Arrival = click.NewArrivalID(1, uint64(2*i+1))
					s.deliver(t, c, 2)
				}
			}
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
			s.committed(t)
			stop()
			s.wantStored(t, len(ids))
			if got := s.filtered(t, minute)[0]; got != 50 {
				t.Errorf("%d duplicates are told, want 50", got)
			}
		})
	}
}

func TestReportsOfGatewaysAreStoredOnceOnTheServers(t *testing.T) {
	s := newServers(t)
	sender, err := kafka.NewFilteredProducer(s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	minute := click.WindowOf(time.Now())
	report := []click.Filtered{{Window: minute, AdvertiserID: 5, AdID: 1, Reason: click.Expired, Count: 3, ID: click.NewArrivalID(9, 1)}}
	for range 3 { // its ack was lost, twice
		if err := sender.SendFiltered(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	report[0].ID, report[0].Count = click.NewArrivalID(9, 2), 4
	if err := sender.SendFiltered(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	filtered, err := ingest.NewFiltered(ingest.FilteredParts{
		Log: log, Registry: prometheus.NewRegistry(), Store: s.store,
		Join: func() (ingest.FilteredStream, error) { return kafka.NewFilteredConsumer(s.config, log) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); filtered.Run(ctx) }()
	defer func() { stop(); <-ended }()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(waitMax); s.filtered(t, minute)[1] != 7; {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%v are told, want 7 expired", s.filtered(t, minute))
		}
	}
}
