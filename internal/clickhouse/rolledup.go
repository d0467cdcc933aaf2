package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"clickledger/internal/click"
)

// rollupsFresh is how long what is rolled up is told again without asking. An
// older answer is as right: what it does not know of is read from finer tables,
// and what has changed since is announced.
const rollupsFresh = 2 * time.Second

// rolledUp is the ledger of rollups as it was at one time, and what it had seen.
type rolledUp struct {
	ledger click.RollupLedger
	seen   map[click.Day]seenDay
}

// seenDay is the version of the seal of each minute that went into a day's
// hours.
type seenDay struct {
	version uint64 // of the entry
	minutes []uint64
}

// changed are the days of which a change was announced that their hours do not
// have.
func (r rolledUp) changed(announced []announcement) map[click.Day]bool {
	days := map[click.Day]bool{}
	for _, a := range announced {
		day := click.DayOf(a.minute)
		seen, place := r.seen[day].minutes, int(a.minute.Sub(day.Start())/click.WindowLength)
		if place >= len(seen) || a.version > seen[place] {
			days[day] = true
		}
	}
	return days
}

// rollupCache remembers what is rolled up. All who ask while it is asked wait.
type rollupCache struct {
	mu    sync.Mutex
	known rolledUp
	read  time.Time
}

// recent is what was rolled up a moment ago.
func (c *rollupCache) recent(ctx context.Context, s *Store) (rolledUp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) < rollupsFresh {
		return c.known, nil
	}
	began := time.Now()
	known, err := s.rolledUp(ctx, c.known.seen)
	if err != nil {
		return rolledUp{}, err
	}
	c.known, c.read = known, began
	return known, nil
}

// rolledUp reads the ledger, and what it had seen where that is not known yet.
func (s *Store) rolledUp(ctx context.Context, known map[click.Day]seenDay) (rolledUp, error) {
	entries, err := s.rollupEntries(ctx, "")
	if err != nil {
		return rolledUp{}, err
	}
	r := rolledUp{ledger: click.NewRollupLedger(entries), seen: map[click.Day]seenDay{}}
	var unknown []string
	for _, e := range entries {
		if e.Level != click.PerHour {
			continue
		}
		if of, ok := known[e.First]; ok && of.version == e.Version {
			r.seen[e.First] = of
		} else {
			unknown = append(unknown, "'"+e.First.String()+"'")
		}
	}
	if len(unknown) == 0 {
		return r, nil
	}
	return r, s.addSeen(ctx, r, strings.Join(unknown, ","))
}

// addSeen reads what the hours of some days had seen. What a newer entry than
// that of the ledger had seen is left away: it says nothing of the days, weeks
// and months that the ledger knows, so every announcement counts.
func (s *Store) addSeen(ctx context.Context, r rolledUp, days string) error {
	const what = "read what rollups had seen"
	rows, err := s.conn.Query(s.limited(ctx, reportQuerySeconds, nil), "SELECT toString(first), version, seen FROM rollups FINAL WHERE level = 'hour' AND first IN ("+days+")")
	if err != nil {
		return readError(what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		var of seenDay
		if err := rows.Scan(&text, &of.version, &of.minutes); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		day, err := click.ParseDay(text)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if entry, ok := r.ledger.Entry(click.PerHour, day); ok && entry.Version == of.version {
			r.seen[day] = of
		}
	}
	if err := rows.Err(); err != nil {
		return readError(what, err)
	}
	return nil
}
