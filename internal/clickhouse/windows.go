package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// States of a row of `windows`. The ledger begins at the earliest row that is
// not EARLIER; that row is START until its own window is sealed.
const (
	stateStart  = "START"
	stateSealed = "SEALED"
	// stateEarlier is a sealed window from before the ledger's start: an old
	// click came in. It counts as sealed with nothing in it from the beginning,
	// so it never moves the start nor the sealed prefix.
	stateEarlier = "EARLIER"
)

// StartLedger makes start the ledger's first window if the ledger is empty, and
// returns the first window it has now. Version 0 loses against every seal.
func (s *Store) StartLedger(ctx context.Context, start click.Window) (click.Window, error) {
	begun, err := s.LedgerStart(ctx)
	if err != nil || !begun.IsZero() {
		return click.WindowOf(begun), err
	}
	err = s.conn.Exec(ctx, `INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)
		VALUES (?, 0, ?, 0, 0, '', '', [])`, start.Start(), stateStart)
	if err != nil {
		return click.Window{}, readError("start ledger", err)
	}
	return start, nil
}

// LedgerStart is the start of the ledger's first window, or the zero time when
// setup has not written it.
func (s *Store) LedgerStart(ctx context.Context) (time.Time, error) {
	// No FINAL: a START row and the seal that replaced it have the same minute.
	var count uint64
	var start time.Time
	err := s.conn.QueryRow(ctx, "SELECT count(), min(minute) FROM windows WHERE state != ?", stateEarlier).Scan(&count, &start)
	if err != nil {
		return time.Time{}, readError("read the ledger's start", err)
	}
	if count == 0 {
		return time.Time{}, nil
	}
	return start.UTC(), nil
}

// startedLedger is LedgerStart once there is one, and click.ErrUnavailable until
// then. A flush that is under way while the store is made anew must not write
// the ledger's first entry: its minute would be the ledger's start.
func (s *Store) startedLedger(ctx context.Context) (time.Time, error) {
	start, err := s.LedgerStart(ctx)
	if err == nil && start.IsZero() {
		err = fmt.Errorf("the ledger has no start: setup has not run: %w", click.ErrUnavailable)
	}
	return start, err
}

// UnsealedWindows are the windows in [from, before) that the ledger has no seal
// of, in order.
func (s *Store) UnsealedWindows(ctx context.Context, from, before click.Window) ([]click.Window, error) {
	rows, err := s.conn.Query(ctx, "SELECT minute FROM windows FINAL WHERE minute >= ? AND minute < ? AND state = ?",
		from.Start(), before.Start(), stateSealed)
	if err != nil {
		return nil, readError("read sealed windows", err)
	}
	defer func() { _ = rows.Close() }()
	sealed := map[click.Window]bool{}
	for rows.Next() {
		var minute time.Time
		if err := rows.Scan(&minute); err != nil {
			return nil, readError("read sealed windows", err)
		}
		sealed[click.WindowOf(minute)] = true
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read sealed windows", err)
	}
	var unsealed []click.Window
	for w := from; w.Before(before); w = w.Next() {
		if !sealed[w] {
			unsealed = append(unsealed, w)
		}
	}
	return unsealed, nil
}

// dirtyQuery is click.Dirty in SQL, over every sealed window and every one from
// before the ledger's start. Both sides are subqueries, so the join is made
// here and not on the shards. An array's element beyond its end is 0: a
// partition that was not checked makes any click of it a late one.
const dirtyQuery = `
SELECT progress.minute
FROM
(
    SELECT minute, partition, max(highest) AS highest
    FROM clicks_progress
    WHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}
    GROUP BY minute, partition
) AS progress
LEFT JOIN
(
    SELECT minute, state, checked
    FROM windows FINAL
    WHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}
) AS ledger ON ledger.minute = progress.minute
WHERE progress.highest >= ledger.checked[progress.partition + 1]
  AND (ledger.state IN ('SEALED', 'EARLIER') OR progress.minute < {start:DateTime('UTC')})
GROUP BY progress.minute
ORDER BY progress.minute
LIMIT {limit:UInt32}`

// DirtyWindows are up to limit windows in [from, before) that were sealed and
// hold a click at or beyond the offsets checked then, the earliest first, with
// the number of such clicks. Windows from before the ledger's start that hold
// a click nothing was checked for are among them.
func (s *Store) DirtyWindows(ctx context.Context, from, before click.Window, limit int) ([]click.Due, error) {
	start, err := s.LedgerStart(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.conn.Query(ch.Context(ctx, ch.WithParameters(ch.Parameters{
		"from": minuteText(from), "before": minuteText(before),
		"start": start.Format(time.DateTime), "limit": fmt.Sprint(limit),
	})), dirtyQuery)
	if err != nil {
		return nil, readError("find dirty windows", err)
	}
	defer func() { _ = rows.Close() }()
	var dirty []click.Due
	for rows.Next() {
		var minute time.Time
		if err := rows.Scan(&minute); err != nil {
			return nil, readError("find dirty windows", err)
		}
		dirty = append(dirty, click.Due{Window: click.WindowOf(minute), Reason: click.LateFlush})
	}
	if err := rows.Err(); err != nil {
		return nil, readError("find dirty windows", err)
	}
	return dirty, s.countLate(ctx, dirty)
}

// countLate fills in how many late clicks each dirty window has: one small read
// by primary key for each, and there are few.
func (s *Store) countLate(ctx context.Context, dirty []click.Due) error {
	for i, due := range dirty {
		seal, _, err := s.WindowSeal(ctx, due.Window)
		if err != nil {
			return err
		}
		parameters := snapshotParameters(seal.Span())
		err = s.conn.QueryRow(ch.Context(ctx, ch.WithParameters(parameters)), `SELECT count() FROM clicks FINAL
			WHERE `+inMinutes+` AND offset >= {checked:Array(Int64)}[partition + 1]`).Scan(&dirty[i].Late)
		if err != nil {
			return readError("count late clicks", err)
		}
	}
	return nil
}

// WindowSeal is the newest seal of w, and whether figures of w were ever final:
// it was sealed, or lies before the ledger's start. Window is set in any case.
func (s *Store) WindowSeal(ctx context.Context, w click.Window) (click.Seal, bool, error) {
	start, err := s.LedgerStart(ctx)
	if err != nil {
		return click.Seal{}, false, err
	}
	seal := click.Seal{Snapshot: click.Snapshot{Window: w}}
	rows, err := s.conn.Query(ctx, `SELECT version, clicks, rows, reason, topic_id, checked
		FROM windows FINAL WHERE minute = ? AND state IN (?, ?)`, w.Start(), stateSealed, stateEarlier)
	if err != nil {
		return seal, false, readError("read a window's seal", err)
	}
	defer func() { _ = rows.Close() }()
	wasFinal := w.Start().Before(start)
	if rows.Next() {
		wasFinal = true
		if err := rows.Scan(&seal.Version, &seal.Clicks, &seal.Rows, &seal.Reason, &seal.TopicID, (*[]int64)(&seal.Checked)); err != nil {
			return seal, false, readError("read a window's seal", err)
		}
	}
	if err := rows.Err(); err != nil {
		return seal, false, readError("read a window's seal", err)
	}
	return seal, wasFinal, nil
}

// SealWindow enters a flush into the ledger. The same seal again changes
// nothing; one with an older version than the ledger has loses.
func (s *Store) SealWindow(ctx context.Context, seal click.Seal) error {
	start, err := s.startedLedger(ctx)
	if err != nil {
		return err
	}
	state := stateSealed
	if seal.Window.Start().Before(start) {
		state = stateEarlier
	}
	err = s.conn.Exec(ctx, `INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, seal.Window.Start(), seal.Version, state,
		seal.Clicks, seal.Rows, seal.Reason, seal.TopicID, []int64(seal.Checked))
	if err != nil {
		return readError("seal window", err)
	}
	return nil
}

// LedgerTopic is the topic id that the newest seal's offsets belong to, or ""
// when nothing was sealed yet.
func (s *Store) LedgerTopic(ctx context.Context) (string, error) {
	rows, err := s.conn.Query(ctx, "SELECT topic_id FROM windows WHERE topic_id != '' ORDER BY minute DESC, version DESC LIMIT 1")
	if err != nil {
		return "", readError("read the ledger's topic", err)
	}
	defer func() { _ = rows.Close() }()
	var topic string
	if rows.Next() {
		if err := rows.Scan(&topic); err != nil {
			return "", readError("read the ledger's topic", err)
		}
	}
	if err := rows.Err(); err != nil {
		return "", readError("read the ledger's topic", err)
	}
	return topic, nil
}

func minuteText(w click.Window) string { return w.Start().Format(time.DateTime) }
