package clickhouse_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

var reportDay = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func minuteOf(n int) time.Time { return reportDay.Add(time.Duration(n) * time.Minute) }

// reportStoreWith is a store filled by SQL, as ingester and flush would.
func reportStoreWith(t *testing.T, statements ...string) *clickhouse.Store {
	t.Helper()
	c := stacktest.Config(t)
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	execute(t, c, statements)
	return opened(t, c)
}

func execute(t *testing.T, c config.Config, statements []string) {
	t.Helper()
	conn, err := ch.Open(&ch.Options{Addr: c.ClickHouseAddrs, Auth: ch.Auth{
		Database: c.Database(), Username: c.ClickHouseUser, Password: c.ClickHousePassword,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range statements {
		ctx := ch.Context(t.Context(), ch.WithSettings(ch.Settings{"distributed_foreground_insert": 1}))
		if err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func figureRow(advertiser, ad int64, minute, clicks, version int) string {
	return fmt.Sprintf("INSERT INTO clicks_per_minute VALUES (%d, %d, %d, %d, %d)", advertiser, ad, minuteOf(minute).Unix(), clicks, version)
}

func clickRows(advertiser, ad int64, minute, clicks int) string {
	return fmt.Sprintf(`INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset)
		SELECT %d, %d, %d, generateUUIDv4(number), %d, generateUUIDv4(), 0, number FROM numbers(%d)`,
		minuteOf(minute).Unix(), advertiser, ad, minuteOf(minute).UnixMilli(), clicks)
}

func wantFigures(t *testing.T, got []clickhouse.Figure, err error, want ...clickhouse.Figure) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || (len(want) > 0 && !reflect.DeepEqual(got, want)) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSealedFiguresAreOfTheNewestVersionAndTheRangeIsHalfOpen(t *testing.T) {
	store := reportStoreWith(t,
		figureRow(7, 1, 0, 3, 1), figureRow(7, 0, 0, 3, 1), figureRow(7, 1, 0, 5, 2), figureRow(7, 0, 0, 5, 2),
		figureRow(7, 1, 1, 2, 1), figureRow(7, 2, 1, 4, 1), figureRow(7, 0, 1, 6, 1),
		figureRow(7, 0, 2, 9, 1), figureRow(8, 0, 0, 100, 1),
	)
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(2), RowsMax: 10}
	got, _, err := store.SealedFigures(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{Start: minuteOf(0), Clicks: 5}, clickhouse.Figure{Start: minuteOf(1), Clicks: 6})

	q.AdIDs = []int64{1}
	got, _, err = store.SealedFigures(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{Start: minuteOf(0), Clicks: 5}, clickhouse.Figure{Start: minuteOf(1), Clicks: 2})

	q.AdIDs, q.ByAd, q.Starts = nil, true, []time.Time{minuteOf(-30)}
	got, _, err = store.SealedFigures(t.Context(), q)
	wantFigures(t, got, err,
		clickhouse.Figure{AdID: 1, Start: minuteOf(-30), Clicks: 7}, clickhouse.Figure{AdID: 2, Start: minuteOf(-30), Clicks: 4})
}

func TestFreshFiguresCountEveryImpressionOnce(t *testing.T) {
	store := reportStoreWith(t,
		clickRows(7, 1, 0, 3),
		"INSERT INTO clicks SELECT * FROM clicks", // a redelivered batch
		clickRows(7, 2, 1, 2), clickRows(7, 2, 2, 50), clickRows(8, 1, 0, 50),
		// A repair took one of ad 2's clicks away.
		`INSERT INTO clicks SELECT * REPLACE (9 AS version, 1 AS is_deleted) FROM clicks WHERE ad_id = 2 AND offset = 0 AND minute = `+fmt.Sprint(minuteOf(1).Unix()),
	)
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(2), RowsMax: 10}
	got, err := store.FreshFigures(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{Start: minuteOf(0), Clicks: 3}, clickhouse.Figure{Start: minuteOf(1), Clicks: 1})

	q.ByAd, q.AdIDs, q.Starts = true, []int64{2}, []time.Time{minuteOf(0), minuteOf(1)}
	got, err = store.FreshFigures(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{AdID: 2, Start: minuteOf(1), Clicks: 1})
}

func TestRestatedPointsAreThoseOfTheFiguresSummed(t *testing.T) {
	restated := func(ad int64, minute int) string {
		return fmt.Sprintf("INSERT INTO restatements VALUES (7, %d, %d, 1, now64(6), 1, 2, 'late')", ad, minuteOf(minute).Unix())
	}
	store := reportStoreWith(t, restated(0, 0), restated(1, 0), restated(2, 5))
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(10), RowsMax: 10}
	got, err := store.RestatedPoints(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{Start: minuteOf(0)}) // of the sum: ad 2's is not in it

	q.AdIDs = []int64{2}
	got, err = store.RestatedPoints(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{Start: minuteOf(5)})

	q.AdIDs, q.ByAd, q.Starts = nil, true, []time.Time{minuteOf(-5), minuteOf(5)}
	got, err = store.RestatedPoints(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{AdID: 1, Start: minuteOf(-5)}, clickhouse.Figure{AdID: 2, Start: minuteOf(5)})
}

// A year of hours in one query: the longest list of points there is.
func TestTenThousandPointsFitInOneQuery(t *testing.T) {
	store := reportStoreWith(t, figureRow(7, 0, 0, 3, 1))
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: reportDay.Add(-9_600 * time.Hour), To: minuteOf(1), RowsMax: 10}
	for at := q.From; at.Before(q.To); at = at.Add(time.Hour) {
		q.Starts = append(q.Starts, at)
	}
	got, _, err := store.SealedFigures(t.Context(), q)
	wantFigures(t, got, err, clickhouse.Figure{Start: minuteOf(0), Clicks: 3})
}
