package clickhouse

import (
	"context"
	"sync"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// sealedCursor remembers how far the sealed prefix was seen to reach. Windows
// are never unsealed, so it only moves forward and each question reads only
// what came after it.
type sealedCursor struct {
	mu      sync.Mutex
	through click.Window
}

func (c *sealedCursor) get() click.Window {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.through
}

func (c *sealedCursor) set(w click.Window) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.through = w
}

// prefixQuery counts the sealed windows without a gap from a minute on: the
// n-th sealed minute is the n-th of the prefix as long as none is missing.
const prefixQuery = `
SELECT countIf(minute = {from:DateTime('UTC')} + INTERVAL (n - 1) MINUTE)
FROM
(
    SELECT minute, row_number() OVER (ORDER BY minute) AS n
    FROM (SELECT minute FROM windows FINAL WHERE minute >= {from:DateTime('UTC')} AND state = 'SEALED')
)`

// SealedThrough is the end of the contiguous sealed prefix: every figure of a
// minute before it is final. It is the ledger's start while nothing is sealed,
// and the zero time when setup has not started the ledger. It is exact at the
// time of the call and costs two small queries.
func (s *Store) SealedThrough(ctx context.Context) (time.Time, error) {
	began, err := s.LedgerStart(ctx)
	if err != nil || began.IsZero() {
		return time.Time{}, err
	}
	start, from := click.WindowOf(began), s.sealed.get()
	if start.Before(from) {
		// The last window known to be sealed is asked for again: if it is gone,
		// the ledger is not the one remembered, and is read from its start.
		last := click.WindowOf(from.Start().Add(-click.WindowLength))
		through, err := s.prefix(ctx, last)
		if err != nil {
			return time.Time{}, err
		}
		if last.Before(through) {
			s.sealed.set(through)
			return through.Start(), nil
		}
	}
	through, err := s.prefix(ctx, start)
	if err != nil {
		return time.Time{}, err
	}
	s.sealed.set(through)
	return through.Start(), nil
}

// prefix is the first window from on that is not sealed.
func (s *Store) prefix(ctx context.Context, from click.Window) (click.Window, error) {
	var count uint64
	err := s.conn.QueryRow(ch.Context(ctx, ch.WithParameters(ch.Parameters{"from": minuteText(from)})), prefixQuery).Scan(&count)
	if err != nil {
		return click.Window{}, readError("read sealed windows", err)
	}
	return click.WindowOf(from.Start().Add(time.Duration(count) * click.WindowLength)), nil
}
