package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// errNoDatabase: the server answers, but setup has not made the database yet.
var errNoDatabase = errors.New("the database does not exist: run setup")

// dialOnceThere dials only while the database exists, and says so in words
// when it does not. A server would refuse the connection by itself; the engine
// of the local stack aborts on a handshake that names an unknown database, and
// everybody's queries with it.
func dialOnceThere(o *ch.Options) func(ctx context.Context, addr string) (net.Conn, error) {
	database := o.Auth.Database
	probe := *o
	probe.Auth.Database = "default"
	probe.MaxOpenConns, probe.MaxIdleConns = 1, 1
	return func(ctx context.Context, addr string) (net.Conn, error) {
		if err := requireDatabase(ctx, probe, addr, database); err != nil {
			return nil, err
		}
		dialer := net.Dialer{Timeout: dialTimeout}
		return dialer.DialContext(ctx, "tcp", addr)
	}
}

func requireDatabase(ctx context.Context, probe ch.Options, addr, database string) error {
	probe.Addr = []string{addr}
	conn, err := ch.Open(&probe)
	if err != nil {
		return fmt.Errorf("open clickhouse at %s: %w", addr, err)
	}
	defer func() { _ = conn.Close() }()
	var databases uint64
	if err := conn.QueryRow(withoutQueryOptions{ctx}, "SELECT count() FROM system.databases WHERE name = ?", database).Scan(&databases); err != nil {
		return fmt.Errorf("look for database %s: %w", database, err)
	}
	if databases == 0 {
		return fmt.Errorf("look for database %s: %w: %w", database, click.ErrUnavailable, errNoDatabase)
	}
	return nil
}

// withoutQueryOptions ends when its context ends, but hides what that carries:
// the id, settings and parameters of the query a connection is dialled for are
// not meant for the probe.
type withoutQueryOptions struct{ context.Context }

// Value knows nothing.
func (withoutQueryOptions) Value(any) any { return nil }
