package clickhouse

import (
	"context"
	"fmt"
	"time"

	"clickledger/internal/click"
)

// MinutesByDay is what the ledger of windows says of the days in [from, before)
// that have anything sealed, in order.
func (s *Store) MinutesByDay(ctx context.Context, from, before click.Day) ([]click.MinutesOfDay, error) {
	rows, err := s.conn.Query(ctx, `SELECT toString(toDate(minute)) AS day, count(), sum(version)
		FROM windows FINAL
		WHERE minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND state IN (?, ?)
		GROUP BY day ORDER BY day`, from.Start().Unix(), before.Start().Unix(), stateSealed, stateEarlier)
	if err != nil {
		return nil, readError("read sealed days", err)
	}
	defer func() { _ = rows.Close() }()
	var days []click.MinutesOfDay
	for rows.Next() {
		var day string
		var sealed uint64
		var of click.MinutesOfDay
		if err := rows.Scan(&day, &sealed, &of.Versions); err != nil {
			return nil, fmt.Errorf("read sealed days: %w", err)
		}
		if of.Day, err = click.ParseDay(day); err != nil {
			return nil, fmt.Errorf("read sealed days: %w", err)
		}
		of.Sealed = int(sealed)
		days = append(days, of)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read sealed days", err)
	}
	return days, nil
}

// MinuteVersions are the versions of the seals of a day's minutes, 0 for a
// minute without one.
func (s *Store) MinuteVersions(ctx context.Context, day click.Day) ([]uint64, error) {
	rows, err := s.conn.Query(ctx, "SELECT minute, version FROM windows FINAL WHERE minute >= ? AND minute < ? AND state IN (?, ?)",
		day.Start(), day.End(), stateSealed, stateEarlier)
	if err != nil {
		return nil, readError("read the seals of a day", err)
	}
	defer func() { _ = rows.Close() }()
	versions := make([]uint64, click.MinutesPerDay)
	for rows.Next() {
		var minute time.Time
		var version uint64
		if err := rows.Scan(&minute, &version); err != nil {
			return nil, fmt.Errorf("read the seals of a day: %w", err)
		}
		versions[minute.Sub(day.Start())/click.WindowLength] = version
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read the seals of a day", err)
	}
	return versions, nil
}

// Rollups are the entries of the ledger of rollups whose span begins in
// [from, before).
func (s *Store) Rollups(ctx context.Context, from, before click.Day) (click.RollupLedger, error) {
	entries, err := s.rollupEntries(ctx, "WHERE first >= toDate(?) AND first < toDate(?)", from.String(), before.String())
	return click.NewRollupLedger(entries), err
}

func (s *Store) rollupEntries(ctx context.Context, where string, args ...any) ([]click.Rolled, error) {
	rows, err := s.conn.Query(ctx, "SELECT level, toString(first), version, parts, newest, clicks, rows FROM rollups FINAL "+where, args...)
	if err != nil {
		return nil, readError("read the ledger of rollups", err)
	}
	defer func() { _ = rows.Close() }()
	var entries []click.Rolled
	for rows.Next() {
		var e click.Rolled
		var level, first string
		if err := rows.Scan(&level, &first, &e.Version, &e.Parts, &e.Newest, &e.Clicks, &e.Rows); err != nil {
			return nil, fmt.Errorf("read the ledger of rollups: %w", err)
		}
		e.Level = click.Level(level)
		if e.First, err = click.ParseDay(first); err != nil {
			return nil, fmt.Errorf("read the ledger of rollups: %w", err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read the ledger of rollups", err)
	}
	return entries, nil
}

// RecordRollup enters what was rolled up into the ledger, after its figures are
// stored. Seen is the versions of the minutes, for hours only. An older version
// than the ledger has loses.
func (s *Store) RecordRollup(ctx context.Context, e click.Rolled, seen []uint64) error {
	if seen == nil {
		seen = []uint64{}
	}
	err := s.conn.Exec(ctx, `INSERT INTO rollups (level, first, version, parts, newest, clicks, rows, seen)
		VALUES (?, toDate(?), ?, ?, ?, ?, ?, ?)`, string(e.Level), e.First.String(), e.Version, e.Parts, e.Newest, e.Clicks, e.Rows, seen)
	if err != nil {
		return fmt.Errorf("record rollup: %w", err)
	}
	return nil
}
