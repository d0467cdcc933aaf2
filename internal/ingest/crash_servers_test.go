package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
	"clickledger/internal/valkey"
)

// onServers is a database and a seen index of their own on the real servers.
func onServers(t *testing.T) grounds {
	t.Helper()
	c := stacktest.Config(t)
	c.TokenValidity = validity
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	store, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	seen, err := valkey.OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(seen.Close)
	stacktest.Cleanup(t, "seen index", seen.Drop)
	conn := connect(t, c)
	// What the tables in memory refuse, every shard refuses too.
	for _, addr := range c.ClickHouseAddrs {
		shard := c
		shard.ClickHouseAddrs = []string{addr}
		err = connect(t, shard).Exec(t.Context(), fmt.Sprintf("ALTER TABLE clicks_local ADD CONSTRAINT refused CHECK toUnixTimestamp64Milli(clicked_at) %% 1000 != %d", refusedMillisecond))
		if err != nil {
			t.Fatal(err)
		}
	}
	return grounds{store: store, seen: seen, counted: func(ctx context.Context, advertiser int64) ([]countedRow, error) {
		return countedRows(ctx, conn, advertiser)
	}}
}

func connect(t *testing.T, c config.Config) ch.Conn {
	t.Helper()
	conn, err := ch.Open(&ch.Options{Addr: c.ClickHouseAddrs, Auth: ch.Auth{
		Database: c.Database(), Username: c.ClickHouseUser, Password: c.ClickHousePassword,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func countedRows(ctx context.Context, conn ch.Conn, advertiser int64) ([]countedRow, error) {
	rows, err := conn.Query(ctx, "SELECT impression_id, minute, partition, offset FROM clicks FINAL WHERE advertiser_id = ?", advertiser)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var counted []countedRow
	for rows.Next() {
		var id uuid.UUID
		var minute time.Time
		var row countedRow
		if err := rows.Scan(&id, &minute, &row.position.Partition, &row.position.Offset); err != nil {
			return nil, err
		}
		row.impression, row.window = click.ImpressionID(id), click.WindowOf(minute)
		counted = append(counted, row)
	}
	return counted, rows.Err()
}

// The same schedules with a real ClickHouse and a real Valkey. Those of a lane
// share an index, which a later one finds as an earlier one left it.
func TestEveryCrashPointCountsEachImpressionOnceOnTheServers(t *testing.T) {
	var lanes []grounds
	for range lanesOnStores {
		lanes = append(lanes, onServers(t))
	}
	met := runSchedules(t, seeds(t, schedulesOnStores), lanesOnStores, func(lane int) grounds { return lanes[lane] })
	for s := range mishaps {
		t.Logf("%s: %v", s, met[s])
	}
}
