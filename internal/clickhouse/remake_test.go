package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"clickledger/internal/stacktest"
)

const beforeRepartition = 9

// oldMinutes is a database, on one shard, whose figures per minute are in partitions of a
// month: rows of 70 days, some of them replaced, kept for 500 days.
func oldMinutes(t *testing.T) (*sql.DB, *goose.Provider) {
	t.Helper()
	c := stacktest.Config(t)
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return DropDatabase(ctx, c) })
	conn, err := connect(c, "default")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Exec(t.Context(), "CREATE DATABASE "+c.Database()); err != nil {
		t.Fatal(err)
	}
	db := ch.OpenDB(options(c, c.Database()))
	t.Cleanup(func() { _ = db.Close() })
	provider, err := schema(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), beforeRepartition); err != nil {
		t.Fatal(err)
	}
	do(t, db, "ALTER TABLE clicks_per_minute_local MODIFY TTL minute + INTERVAL 500 DAY")
	for version := range 2 {
		do(t, db, fmt.Sprintf(`INSERT INTO clicks_per_minute_local SELECT number %% 5 AS advertiser_id, number %% 7 AS ad_id,
			toStartOfMinute(now('UTC')) - INTERVAL number * 10 MINUTE, number + %[1]d, %[1]d FROM numbers(10080) WHERE number %% (%[1]d + 1) = 0`, version))
		do(t, db, `INSERT INTO clicks_filtered_local SELECT toStartOfMinute(now('UTC')) - INTERVAL number * 10 MINUTE, number % 5 AS advertiser_id, number % 7 AS ad_id,
			'duplicate', reinterpret(toUInt128(number), 'UUID'), 1, 0 FROM numbers(4000)`)
	}
	return db, provider
}

func do(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// minutesSum tells whether two states of the table are the same, and that it is
// made as it should be.
func minutesSum(t *testing.T, db *sql.DB, key string) (sum string) {
	t.Helper()
	engine, err := engineOf(t.Context(), db, "clicks_per_minute_local")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{key, "ORDER BY (advertiser_id, ad_id, minute)", "toIntervalDay(500)", "ttl_only_drop_parts = 1", "fsync_after_insert = 1"} {
		if !strings.Contains(engine, part) {
			t.Errorf("the table has not %s: %s", part, engine)
		}
	}
	err = db.QueryRowContext(t.Context(), `SELECT concat(toString(count()), ' ', toString(sum(cityHash64(advertiser_id, ad_id, minute, clicks, version))), ' ',
		(SELECT concat(toString(count()), ' ', toString(sum(cityHash64(*)))) FROM clicks_filtered_local FINAL)) FROM clicks_per_minute_local FINAL`).Scan(&sum)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestTablesAreRemadeAndBackWithAllRows(t *testing.T) {
	db, provider := oldMinutes(t)
	want := minutesSum(t, db, remakes()[0].from)
	if _, err := provider.ApplyVersion(t.Context(), beforeRepartition+1, true); err != nil {
		t.Fatal(err)
	}
	if got := minutesSum(t, db, remakes()[0].to); got != want {
		t.Errorf("remade there are %s, were %s", got, want)
	}
	if _, err := provider.ApplyVersion(t.Context(), beforeRepartition+1, false); err != nil {
		t.Fatal(err)
	}
	if got := minutesSum(t, db, remakes()[0].from); got != want {
		t.Errorf("moved back there are %s, were %s", got, want)
	}
}

// A try that dies right behind the moment at which the tables change places has
// not moved what was written just before it.
func TestAMoveThatDiedIsTakenUp(t *testing.T) {
	db, provider := oldMinutes(t)
	want := minutesSum(t, db, remakes()[0].from)
	engine, err := engineOf(t.Context(), db, "clicks_per_minute_local")
	if err != nil {
		t.Fatal(err)
	}
	do(t, db, "CREATE TABLE clicks_per_minute_moved AS clicks_per_minute_local ENGINE = "+strings.Replace(engine, remakes()[0].from, remakes()[0].to, 1))
	do(t, db, "EXCHANGE TABLES clicks_per_minute_local AND clicks_per_minute_moved")
	if _, err := provider.ApplyVersion(t.Context(), beforeRepartition+1, true); err != nil {
		t.Fatal(err)
	}
	if got := minutesSum(t, db, remakes()[0].to); got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if left, err := engineOf(t.Context(), db, "clicks_per_minute_moved"); err != nil || left != "" {
		t.Errorf("the old table is still there: %s, %v", left, err)
	}
}
