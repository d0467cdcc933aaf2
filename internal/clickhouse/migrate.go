package clickhouse

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"clickledger/internal/config"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate is MigrateTelling for who need not be told.
func Migrate(ctx context.Context, c config.Config) error {
	return MigrateTelling(ctx, c, func(string) {})
}

// MigrateTelling creates the database if it is absent and applies what is missing
// of the schema, on every shard in turn; where shards were added, it moves the
// rows that belong there, which may take hours, and calls progress with what is
// being done. It is safe to run again.
func MigrateTelling(ctx context.Context, c config.Config, progress func(string)) error {
	shards := make([]*shard, len(c.ClickHouseAddrs))
	for i, addr := range c.ClickHouseAddrs {
		of := c
		of.ClickHouseAddrs = []string{addr}
		shards[i] = &shard{addr: addr, db: ch.OpenDB(options(of, c.Database()))}
		defer func() { _ = shards[i].db.Close() }()
		if err := migrateShard(ctx, of, shards[i].db); err != nil {
			return fmt.Errorf("migrate clickhouse at %s: %w", addr, err)
		}
	}
	if err := reshard(ctx, shards, progress); err != nil {
		return err
	}
	for _, s := range shards {
		if err := layOut(ctx, s.db); err != nil {
			return fmt.Errorf("migrate clickhouse at %s: %w", s.addr, err)
		}
	}
	return nil
}

func migrateShard(ctx context.Context, c config.Config, db *sql.DB) error {
	conn, err := connect(c, "default")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+c.Database()); err != nil {
		return fmt.Errorf("create database %s: %w", c.Database(), err)
	}
	provider, err := schema(db)
	if err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("look for migrations: %w", err)
	}
	if pending {
		if err := layApart(ctx, db); err != nil {
			return err
		}
		if _, err := provider.Up(ctx); err != nil {
			return fmt.Errorf("apply migrations: %w", err)
		}
	}
	return nil
}

// schema is all migrations: scripts, and what no script can say.
func schema(db *sql.DB) (*goose.Provider, error) {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectClickHouse, db, scripts,
		// Two changes made side by side may arrive in either order; none alters
		// what another one made.
		goose.WithAllowOutofOrder(true),
		goose.WithGoMigrations(remakeTables(), stepTables()))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// DropDatabase removes the database and everything in it, on every shard: for
// the end of a test's namespace.
func DropDatabase(ctx context.Context, c config.Config) error {
	for _, addr := range c.ClickHouseAddrs {
		shard := c
		shard.ClickHouseAddrs = []string{addr}
		conn, err := connect(shard, "default")
		if err != nil {
			return err
		}
		err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+c.Database()+" SYNC")
		_ = conn.Close()
		if err != nil {
			return fmt.Errorf("drop database %s at %s: %w", c.Database(), addr, err)
		}
	}
	return nil
}
