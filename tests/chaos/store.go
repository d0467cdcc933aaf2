package main

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/valkey-io/valkey-go"

	"clickledger/internal/config"
	"clickledger/tests/poll"
)

// askTimeout bounds one question to a server that may be down or frozen.
const askTimeout = 5 * time.Second

// store is a way to the servers' data beside the proxies.
type store struct {
	config config.Config
	conn   driver.Conn
}

func newStore(c config.Config) (*store, error) {
	conn, err := ch.Open(&ch.Options{
		Addr:        c.ClickHouseAddrs,
		Auth:        ch.Auth{Database: c.Database(), Username: c.ClickHouseUser, Password: c.ClickHousePassword},
		DialTimeout: askTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open clickhouse: %w", err)
	}
	return &store{c, conn}, nil
}

func (s *store) close() error { return s.conn.Close() }

// refuse makes ClickHouse answer every insert of clicks with an error, the one
// of a table that has too many parts. It outlives a restart; accept ends it.
func (s *store) refuse(ctx context.Context) error {
	return s.insist(ctx, "ALTER TABLE clicks_local MODIFY SETTING max_parts_in_total = 1")
}

func (s *store) accept(ctx context.Context) error {
	return s.insist(ctx, "ALTER TABLE clicks_local RESET SETTING max_parts_in_total")
}

// insist does a statement, if need be when the server is there again.
func (s *store) insist(ctx context.Context, statement string) error {
	return poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) error {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return s.conn.Exec(asking, statement)
	})
}

// wipe empties a Valkey.
func (s *store) wipe(ctx context.Context, target string) error {
	addr := s.config.ValkeyCacheAddr
	if target == valkeySeen {
		addr = s.config.ValkeySeenAddrs[0]
	}
	return poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) error {
		server, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, Password: s.config.ValkeyPassword, DisableCache: true})
		if err != nil {
			return fmt.Errorf("connect to %s: %w", target, err)
		}
		defer server.Close()
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return server.Do(asking, server.B().Flushall().Build()).Error()
	})
}

// lookBack is how old a partition's last click may be before it is taken for
// one that nobody clicks.
const lookBack = 10 * time.Minute

// counts is nil when of every partition a click made since a time is stored.
func (s *store) counts(ctx context.Context, since time.Time) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var behind, all uint64
	err := s.conn.QueryRow(asking, `SELECT countIf(latest <= fromUnixTimestamp64Milli(?)), count()
		FROM (SELECT max(clicked_at) AS latest FROM clicks WHERE clicked_at > fromUnixTimestamp64Milli(?) GROUP BY partition)`,
		since.UnixMilli(), since.Add(-lookBack).UnixMilli()).Scan(&behind, &all)
	switch {
	case err != nil:
		return fmt.Errorf("look for new clicks: %w", err)
	case all == 0 || behind > 0:
		return fmt.Errorf("of %d of %d partitions no click is stored that was made since", behind, all)
	default:
		return nil
	}
}

// stored is in which minutes each impression stands in the table of clicks.
func (s *store) stored(ctx context.Context) (map[uuid.UUID][]time.Time, error) {
	rows, err := s.conn.Query(ctx, "SELECT impression_id, minute FROM clicks FINAL")
	if err != nil {
		return nil, fmt.Errorf("read clicks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	minutes := map[uuid.UUID][]time.Time{}
	for rows.Next() {
		var id uuid.UUID
		var minute time.Time
		if err := rows.Scan(&id, &minute); err != nil {
			return nil, fmt.Errorf("read clicks: %w", err)
		}
		minutes[id] = append(minutes[id], minute)
	}
	return minutes, rows.Err()
}
