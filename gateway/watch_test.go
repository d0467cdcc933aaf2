package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

// spectator watches, and keeps what it was told last of each point.
type spectator struct {
	asked *v1.WatchClicksRequest
	mu    sync.Mutex
	told  map[spectated]*v1.Point
	err   error
}

type spectated struct {
	adID  int64
	start time.Time
}

func spectate(ctx context.Context, reports clickledgerv1connect.ReportServiceClient, asked *v1.WatchClicksRequest) *spectator {
	s := &spectator{asked: asked, told: map[spectated]*v1.Point{}}
	go func() {
		stream, err := reports.WatchClicks(ctx, asked)
		for err == nil {
			if !stream.Receive() {
				err = fmt.Errorf("the stream ended: %w", stream.Err())
				break
			}
			s.mu.Lock()
			for _, p := range stream.Msg().GetPoints() {
				s.told[spectated{p.GetAdId(), p.GetStartTime().AsTime()}] = p
			}
			s.mu.Unlock()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = err
	}()
	return s
}

// differs says how what it was told differs from what a report answers, if it does.
func (s *spectator) differs(t *testing.T, reports clickledgerv1connect.ReportServiceClient) string {
	t.Helper()
	answer, err := reports.QueryClicks(t.Context(), &v1.QueryClicksRequest{
		AdvertiserId: s.asked.GetAdvertiserId(), AdIds: s.asked.GetAdIds(), GroupByAd: s.asked.GetGroupByAd(), Granularity: s.asked.GetGranularity(), TimeZone: s.asked.GetTimeZone(),
		StartTime: s.asked.GetStartTime(), EndTime: timestamppb.New(time.Now().Truncate(time.Minute).Add(time.Minute)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		t.Fatal(s.err)
	}
	clicks, told := int64(0), int64(0)
	for _, p := range s.told {
		told += p.GetClicks()
	}
	for _, p := range answer.GetPoints() {
		clicks += p.GetClicks()
		is, ok := s.told[spectated{p.GetAdId(), p.GetStartTime().AsTime()}]
		if !ok && p.GetClicks() == 0 && s.asked.GetGroupByAd() && len(s.asked.GetAdIds()) == 0 {
			continue // nothing is told of an ad without clicks that nobody named
		}
		if is.GetClicks() != p.GetClicks() || is.GetState() != p.GetState() {
			return fmt.Sprintf("%v is told as %v, and answered as %v", s.asked, is, p)
		}
	}
	if clicks != told {
		return fmt.Sprintf("%v: %d clicks are told, %d answered", s.asked, told, clicks)
	}
	return ""
}

// ledger is a gateway's store as ingester and flushes leave it.
type ledger struct {
	*history
	conn   driver.Conn
	store  *clickhouse.Store
	offset int64 // of the next click
}

func newLedger(t *testing.T, g *running, h *history) *ledger {
	t.Helper()
	conn, err := clickhousego.Open(&clickhousego.Options{Addr: g.config.ClickHouseAddrs,
		Auth:     clickhousego.Auth{Database: g.config.Database(), Username: g.config.ClickHouseUser, Password: g.config.ClickHousePassword},
		Settings: clickhousego.Settings{"distributed_foreground_insert": 1, "async_insert": 0}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	store, err := clickhouse.Open(g.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &ledger{history: h, conn: conn, store: store, offset: 1_000}
}

// click stores clicks of an ad in a minute.
func (l *ledger) click(t *testing.T, adID int64, minute time.Time, clicks int) {
	t.Helper()
	err := l.conn.Exec(t.Context(), `INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset)
		SELECT toDateTime(?, 'UTC') AS at, ?, ?, generateUUIDv4(number), at, generateUUIDv4(), 0, ? + number FROM numbers(?)`,
		minute.Unix(), l.ad.GetAdvertiserId(), adID, l.offset, clicks)
	if err != nil {
		t.Fatal(err)
	}
	l.offset += int64(clicks)
}

// flush seals a minute, as a flush does.
func (l *ledger) flush(t *testing.T, minute time.Time, reason click.FlushReason) {
	t.Helper()
	version, err := l.store.NextVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snapshot := click.Snapshot{Window: click.WindowOf(minute), TopicID: "topic", Checked: click.Offsets{l.offset}, Version: version}
	if _, err := l.store.AggregateWindow(t.Context(), snapshot, reason != click.FirstFlush, reason); err != nil {
		t.Fatal(err)
	}
	if err := l.store.SealWindow(t.Context(), click.Seal{Snapshot: snapshot, Reason: string(reason)}); err != nil {
		t.Fatal(err)
	}
}

// What is told is what QueryClicks answers, whatever is watched, while clicks
// come, minutes are sealed, and late clicks restate them.
func TestWatchersAreToldWhatQueryClicksAnswers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	g := startGateways(t, 1)[0]
	h := newHistory(t, g, random)
	l := newLedger(t, g, &h)
	ads, err := g.catalog(g.config.AdminKey).CreateAds(t.Context(), &v1.CreateAdsRequest{
		AdvertiserId: h.ad.GetAdvertiserId(), Ads: []*v1.NewAd{{Name: "another", LandingUrl: "https://shop.example.com/"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := h.ad.GetAdId(), ads.GetAds()[0].GetAdId()
	reports := clickledgerv1connect.NewReportServiceClient(http.DefaultClient, g.url, as(g.config.AdminKey))
	var all []*spectator
	for _, granularity := range []v1.Granularity{v1.Granularity_GRANULARITY_MINUTE, v1.Granularity_GRANULARITY_HOUR, v1.Granularity_GRANULARITY_DAY} {
		for what := range 4 {
			asked := &v1.WatchClicksRequest{
				AdvertiserId: h.ad.GetAdvertiserId(), Granularity: granularity, GroupByAd: what >= 2, TimeZone: []string{"", "Asia/Kathmandu"}[random.IntN(2)],
				StartTime: timestamppb.New(time.Now().Truncate(time.Minute).Add(-time.Duration(1+random.IntN(47*60)) * time.Minute)),
			}
			if what%2 == 1 {
				asked.AdIds = []int64{second, first}
			}
			all = append(all, spectate(t.Context(), reports, asked))
		}
	}
	agree := func(what string) {
		t.Helper()
		last := ""
		defer func() { t.Logf("%s: %s", what, last) }()
		eventually(t, what+" to be told", func() bool {
			for _, s := range all {
				if last = s.differs(t, reports); last != "" {
					return false
				}
			}
			return true
		})
	}
	agree("the beginning")
	for range 5 {
		l.click(t, []int64{first, second}[random.IntN(2)], time.Now().Truncate(time.Minute), 1+random.IntN(5))
		l.click(t, []int64{first, second}[random.IntN(2)], h.sealed.Add(time.Duration(random.IntN(30))*time.Minute), 1+random.IntN(5))
	}
	agree("clicks")
	for n := range 10 {
		l.flush(t, h.sealed.Add(time.Duration(n)*time.Minute), click.FirstFlush)
	}
	agree("sealed minutes")
	late := h.sealed.Add(time.Duration(random.IntN(10)) * time.Minute)
	l.click(t, second, late, 7)
	l.flush(t, late, click.LateFlush)
	agree("a late click")
}
