// Package clickhouse is the store: raw clicks, figures, the ledger of windows
// and the catalogue. It alone imports the ClickHouse client. One file per
// subject; programs only name the tables in front of the shards' (layout.go).
package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"clickledger/internal/config"
)

const (
	dialTimeout = 5 * time.Second
	readTimeout = 5 * time.Minute // the longest silence of a running query
	// connsMax is for reports, of which each may ask four questions side by side, and
	// a third as many for what may not wait behind them.
	connsMax = 64
)

// Store reads and writes one deployment's database. It is safe for concurrent
// use. Its errors name what was tried; they are not translated.
type Store struct {
	conn     driver.Conn
	home     driver.Conn // to the home shard's server only, for what another one must not do in its place
	config   config.Config
	database string
	lake     lakeAccess
	// sliceClicks is how many of the lake's clicks are grouped at a time.
	sliceClicks int64
	sealed      sealedCursor
	rollups     rollupCache
	settled     *settledCache
	parts       *partsCache
}

// Open prepares connections to the database of c. It asks nothing: a server or
// a database (see Migrate) that is not there yet is an error of each query,
// wrapping click.ErrUnavailable.
func Open(c config.Config) (*Store, error) {
	forParts := c.ReportCacheBytesMax / byPartsShare
	settled, err := newSettledCache(c.ReportCacheBytesMax - forParts)
	if err != nil {
		return nil, err
	}
	parts, err := newPartsCache(forParts)
	if err != nil {
		return nil, err
	}
	conn, err := connect(c, c.Database())
	if err != nil {
		return nil, err
	}
	home := conn
	if len(c.ClickHouseAddrs) > 1 {
		only := c
		only.ClickHouseAddrs = c.ClickHouseAddrs[:1]
		if home, err = connect(only, c.Database()); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return &Store{
		conn: conn, home: home, config: c, database: c.Database(), lake: newLakeAccess(c), sliceClicks: sliceClicksUsual,
		settled: settled, parts: parts,
	}, nil
}

// session is one connection, kept: what is temporary lives as long as it. The
// client's own pool may put another in its place unasked.
type session struct {
	pool *sql.DB
	*sql.Conn
}

func (s session) close() {
	_ = s.Close()
	_ = s.pool.Close()
}

func (s *Store) session(ctx context.Context) (session, error) {
	pool := ch.OpenDB(options(s.config, s.database))
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return session{}, readError("open a session", err)
	}
	return session{pool, conn}, nil
}

func options(c config.Config, database string) *ch.Options {
	return &ch.Options{
		Addr:             c.ClickHouseAddrs,
		Auth:             ch.Auth{Database: database, Username: c.ClickHouseUser, Password: c.ClickHousePassword},
		TLS:              c.TLS(c.ClickHouseTLS),
		DialTimeout:      dialTimeout,
		ReadTimeout:      readTimeout,
		MaxOpenConns:     connsMax,
		MaxIdleConns:     connsMax,
		ConnOpenStrategy: ch.ConnOpenInOrder, // the first is the home shard; away, the next one answers of what it can
		Compression:      &ch.Compression{Method: ch.CompressionLZ4},
		Settings: ch.Settings{
			// Acknowledged means: on every shard, fsynced.
			"distributed_foreground_insert": 1,
			// A batch is an insert of its own. The server's default gathers those of many for up to 0.2 s.
			"async_insert":                0,
			"optimize_skip_unused_shards": 1,
			// A key never crosses partitions in our tables: FINAL need not look.
			"do_not_merge_across_partitions_select_final": 1,
		},
	}
}

func connect(c config.Config, database string) (driver.Conn, error) {
	conn, err := ch.Open(options(c, database))
	if err != nil {
		return nil, fmt.Errorf("open clickhouse at %v: %w", c.ClickHouseAddrs, err)
	}
	return conn, nil
}

// Ping reports whether every shard answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.conn.Exec(ctx, "SELECT count() FROM cluster('clickledger', system.one)"); err != nil {
		return readError("ping clickhouse", err)
	}
	return nil
}

// Close ends the connections.
func (s *Store) Close() error {
	err := s.conn.Close()
	if s.home != s.conn {
		err = errors.Join(err, s.home.Close())
	}
	return err
}
