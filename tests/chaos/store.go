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
	config    config.Config
	addresses map[string]string // of the servers, by name
	conn      driver.Conn       // whichever shard answers
}

func newStore(c config.Config, addresses map[string]string) (*store, error) {
	s := &store{config: c, addresses: addresses}
	var err error
	s.conn, err = s.connect(c.ClickHouseAddrs)
	return s, err
}

func (s *store) connect(addrs []string) (driver.Conn, error) {
	conn, err := ch.Open(&ch.Options{
		Addr:        addrs,
		Auth:        ch.Auth{Database: s.config.Database(), Username: s.config.ClickHouseUser, Password: s.config.ClickHousePassword},
		DialTimeout: askTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open clickhouse: %w", err)
	}
	return conn, nil
}

func (s *store) close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

// refuse makes a shard answer every insert of clicks with an error, the one of a
// table that has too many parts. It outlives a restart; accept ends it.
func (s *store) refuse(ctx context.Context, shard string) error {
	return s.insist(ctx, shard, "ALTER TABLE clicks_local MODIFY SETTING max_parts_in_total = 1")
}

func (s *store) accept(ctx context.Context, shard string) error {
	return s.insist(ctx, shard, "ALTER TABLE clicks_local RESET SETTING max_parts_in_total")
}

// insist has a shard do a statement, if need be when it is there again.
func (s *store) insist(ctx context.Context, shard, statement string) error {
	conn, err := s.connect([]string{s.addresses[shard]})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) error {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return conn.Exec(asking, statement)
	})
}

// wipe empties a Valkey: of a cluster this one only, not where it leads to.
func (s *store) wipe(ctx context.Context, target string) error {
	addr := s.addresses[target]
	return poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) error {
		server, err := valkey.NewClient(valkey.ClientOption{
			InitAddress: []string{addr}, ForceSingleClient: true, Password: s.config.ValkeyPassword, DisableCache: true,
		})
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

// counts is nil when of every partition a click made since a time is stored. It
// asks all shards, as the programs do: without one of them there is no answer.
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

// stored is in which minutes each impression stands in the table of clicks, on
// whatever shard.
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
