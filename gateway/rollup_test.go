package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

// history fills a gateway's store with ten days of sealed minutes of one ad,
// some of them restated, and half an hour of clicks that are not sealed, and
// rolls up all but one of the days.
type history struct {
	from, sealed, to time.Time
	ad               *v1.Ad
	reports          clickledgerv1connect.ReportServiceClient
	// restate corrects some minute of a range to so many clicks.
	restate func(from time.Time, length time.Duration, clicks int)
}

func newHistory(t *testing.T, g *running, random *rand.Rand) history {
	t.Helper()
	ad, key := g.adOf(t)
	now := time.Now().UTC().Truncate(time.Minute)
	sealed := now.Add(-30 * time.Minute) // soon after midnight that is the day before
	h := history{
		from: sealed.Truncate(24*time.Hour).AddDate(0, 0, -10).Add(7 * time.Hour), sealed: sealed, to: now, ad: ad,
		reports: clickledgerv1connect.NewReportServiceClient(http.DefaultClient, g.url, as(key)),
	}
	conn := g.conn(t)
	exec := func(query string, args ...any) {
		t.Helper()
		if err := conn.Exec(t.Context(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	minutes, seed := int(h.sealed.Sub(h.from)/time.Minute), random.Uint32()
	exec(`INSERT INTO clicks_per_minute SELECT ?, arrayJoin([?, 0]), toDateTime(?, 'UTC') + INTERVAL intHash64(number + ?) % ? MINUTE, 1 + number % 3, 1 FROM numbers(4000)`,
		ad.GetAdvertiserId(), ad.GetAdId(), h.from.Unix(), seed, minutes)
	exec(`INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)
		SELECT minute, 2, 'SEALED', sum(counted), 0, 'first', '', []
		FROM (SELECT toDateTime(?, 'UTC') + INTERVAL number MINUTE AS minute, toUInt64(0) AS counted FROM numbers(?)
		      UNION ALL SELECT minute, clicks AS counted FROM clicks_per_minute FINAL WHERE ad_id != 0)
		GROUP BY minute`, h.from.Unix(), minutes)
	exec(`INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset)
		SELECT toDateTime(?, 'UTC') + INTERVAL number % 30 MINUTE AS at, ?, ?, generateUUIDv4(number), at, generateUUIDv4(), 0, number FROM numbers(200)`,
		h.sealed.Unix(), ad.GetAdvertiserId(), ad.GetAdId())
	h.restate = func(from time.Time, length time.Duration, clicks int) {
		t.Helper()
		minute := from.Add(time.Duration(random.Int64N(int64(length/time.Minute))) * time.Minute)
		version := time.Now().UnixMicro()
		exec(`INSERT INTO restatements
			SELECT ?, ad, toDateTime(?, 'UTC'), stands.version, fromUnixTimestamp64Micro(?, 'UTC'), stands.clicks, ?, 'late'
			FROM (SELECT arrayJoin([toInt64(?), 0]) AS ad) AS ads
			LEFT JOIN (SELECT ad_id AS ad, clicks, version FROM clicks_per_minute FINAL WHERE advertiser_id = ? AND minute = toDateTime(?, 'UTC')) AS stands USING (ad)`,
			ad.GetAdvertiserId(), minute.Unix(), version, clicks, ad.GetAdId(), ad.GetAdvertiserId(), minute.Unix())
		exec("INSERT INTO clicks_per_minute SELECT ?, arrayJoin([?, 0]), toDateTime(?, 'UTC'), ?, ?", ad.GetAdvertiserId(), ad.GetAdId(), minute.Unix(), clicks, version)
		exec("INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked) VALUES (?, ?, 'SEALED', ?, 0, 'late', '', [])", minute, version, clicks)
	}
	h.restate(h.from.AddDate(0, 0, 1), 24*time.Hour, 9)
	h.restate(h.from.AddDate(0, 0, 2), 24*time.Hour, 9)
	rollUp(t, g, random)
	h.restate(h.from.AddDate(0, 0, 3), 24*time.Hour, 9)
	return h
}

// conn is how a test writes into a gateway's store.
func (g *running) conn(t *testing.T) clickhousego.Conn {
	t.Helper()
	conn, err := clickhousego.Open(&clickhousego.Options{Addr: g.config.ClickHouseAddrs,
		Auth:     clickhousego.Auth{Database: g.config.Database(), Username: g.config.ClickHouseUser, Password: g.config.ClickHousePassword},
		Settings: clickhousego.Settings{"distributed_foreground_insert": 1, "async_insert": 0, "max_partitions_per_insert_block": 0}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func rollUp(t *testing.T, g *running, random *rand.Rand) {
	t.Helper()
	store, err := clickhouse.Open(g.config)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rollup := &activities.Rollup{Ledger: store, Sums: store, MinutesKeptDays: g.config.MinutesRetentionDays, Now: time.Now}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(rollup)
	value, err := env.ExecuteActivity(rollup.PlanRollups, activities.PlanRollupsInput{Limit: 100})
	var plan activities.PlanRollupsResult
	if err != nil || value.Get(&plan) != nil || len(plan.Due) < 9 {
		t.Fatalf("%v: %v", err, plan)
	}
	left := random.IntN(len(plan.Due))
	for i, day := range plan.Due {
		for _, step := range click.Rollups() {
			if i == left {
				continue
			}
			if _, err := env.ExecuteActivity(rollup.RollUp, activities.RollUpInput{Day: day, Level: step.To}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The law of reports: minutes, hours, days, weeks and months of any range in
// any time zone add up to the same, and a coarse point is as final as its worst minute.
func TestEveryGranularityAddsUpToTheSame(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHistory(t, startGateways(t, 1)[0], random)
	zones := []string{"", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham"}
	for i := range 12 {
		minutes := random.IntN(11 * 24 * 60)
		in := &v1.QueryClicksRequest{
			AdvertiserId: h.ad.GetAdvertiserId(), TimeZone: zones[random.IntN(len(zones))], GroupByAd: random.IntN(2) == 0,
			StartTime: timestamppb.New(h.from.Add(time.Duration(random.IntN(9*24*60)) * time.Minute)),
		}
		if i < 4 { // whole days from midnight on, where coarse tables answer most
			in.StartTime = timestamppb.New(h.from.Truncate(24 * time.Hour))
			minutes = (8 + i) * 24 * 60
		}
		in.EndTime = timestamppb.New(in.GetStartTime().AsTime().Add(time.Duration(1+minutes) * time.Minute))
		if random.IntN(2) == 0 {
			in.AdIds = []int64{h.ad.GetAdId()}
		}
		h.check(t, in)
	}
}

// check asks by the minute, and by everything coarser.
func (h history) check(t *testing.T, in *v1.QueryClicksRequest) {
	t.Helper()
	ask := func(g v1.Granularity) *v1.QueryClicksResponse {
		in.Granularity = g
		got, err := h.reports.QueryClicks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	minutes := ask(v1.Granularity_GRANULARITY_MINUTE)
	for g := v1.Granularity_GRANULARITY_HOUR; g <= v1.Granularity_GRANULARITY_MONTH; g++ {
		got, what := ask(g), fmt.Sprintf("%v of %v", g, in)
		if got.GetTotalClicks() != minutes.GetTotalClicks() || !got.GetSealedThrough().AsTime().Equal(h.sealed) {
			t.Errorf("%s: %d clicks in all, by the minute %d; sealed through %v", what, got.GetTotalClicks(), minutes.GetTotalClicks(), got.GetSealedThrough().AsTime())
		}
		next := 0
		for i, p := range got.GetPoints() {
			end := in.GetEndTime().AsTime()
			if i+1 < len(got.GetPoints()) {
				end = got.GetPoints()[i+1].GetStartTime().AsTime()
			}
			var clicks int64
			state := click.Final
			for ; next < len(minutes.GetPoints()) && minutes.GetPoints()[next].GetStartTime().AsTime().Before(end); next++ {
				clicks += minutes.GetPoints()[next].GetClicks()
				state = click.Worst(state, stateOf[minutes.GetPoints()[next].GetState()])
			}
			if p.GetClicks() != clicks || stateOf[p.GetState()] != state {
				t.Errorf("%s: the point at %v has %d clicks and is %v, its minutes have %d and are %v",
					what, p.GetStartTime().AsTime(), p.GetClicks(), p.GetState(), clicks, state)
			}
		}
	}
}

var stateOf = map[v1.State]click.State{
	v1.State_STATE_PROVISIONAL: click.Provisional, v1.State_STATE_FINAL: click.Final, v1.State_STATE_RESTATED: click.Restated,
}
