package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"clickledger/internal/config"
)

// retained is how many days a table keeps its rows, by their minute.
type retained struct {
	table string
	days  int
}

func retentions(c config.Config) []retained {
	return []retained{
		{"clicks_local", c.ClicksRetentionDays},
		{"clicks_progress_local", c.ClicksRetentionDays},
		{"clicks_filtered_local", c.ClicksRetentionDays},
		{"clicks_per_minute_local", c.MinutesRetentionDays},
		{"clicks_per_hour_local", c.HoursRetentionDays},
	}
}

// EnsureRetention has every shard keep rows as long as c says, and returns the
// tables in which that is new, each once. Migrate comes before it. It is safe to
// run again; a table that is right already is not touched.
func EnsureRetention(ctx context.Context, c config.Config) (changed []string, err error) {
	for i, addr := range c.ClickHouseAddrs {
		shard := c
		shard.ClickHouseAddrs = []string{addr}
		tables, err := ensureShardRetention(ctx, shard)
		if err != nil {
			return nil, fmt.Errorf("set how long clickhouse at %s keeps: %w", addr, err)
		}
		if i == 0 {
			changed = tables
		}
	}
	return changed, nil
}

func ensureShardRetention(ctx context.Context, c config.Config) (changed []string, err error) {
	conn, err := connect(c, c.Database())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	for _, r := range retentions(c) {
		var engine string
		err := conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?", r.table).Scan(&engine)
		if err != nil {
			return nil, readError("read the retention of "+r.table, err)
		}
		if strings.Contains(engine, fmt.Sprintf("TTL minute + toIntervalDay(%d) ", r.days)) {
			continue
		}
		if err := conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s MODIFY TTL minute + INTERVAL %d DAY", r.table, r.days)); err != nil {
			return nil, fmt.Errorf("change the retention of %s: %w", r.table, err)
		}
		changed = append(changed, strings.TrimSuffix(r.table, "_local"))
	}
	return changed, nil
}
