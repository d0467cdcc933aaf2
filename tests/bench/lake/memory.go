package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/config"
)

// peakMemory is the most that one of the reconciliation's queries held, by the
// server's own log; they run one after the other.
func peakMemory(ctx context.Context, c config.Config, since time.Time) (float64, error) {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: c.ClickHouseAddrs, Auth: clickhouse.Auth{Username: c.ClickHouseUser, Password: c.ClickHousePassword},
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "SYSTEM FLUSH LOGS query_log"); err != nil {
		return 0, fmt.Errorf("flush the query log: %w", err)
	}
	var peak float64
	err = conn.QueryRow(ctx, `SELECT toFloat64(max(memory_usage)) FROM system.query_log WHERE event_time >= ? AND query_id LIKE ?`,
		since.UTC().Truncate(time.Second), "reconcile/"+c.Database()+"/%").Scan(&peak)
	if err != nil {
		return 0, fmt.Errorf("read the query log: %w", err)
	}
	return peak, nil
}
