package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"

	"clickledger/internal/click"
)

// NoteAdChanges writes down that ads were changed, after they were: whoever
// reads the note finds the change.
func (s *Store) NoteAdChanges(ctx context.Context, changes []click.AdChange) error {
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO ad_changes (ad_id, version)")
	if err != nil {
		return readError("note changed ads", err)
	}
	defer func() { _ = batch.Close() }()
	for _, c := range changes {
		if err := batch.Append(c.AdID, c.Version); err != nil {
			return fmt.Errorf("note changed ads: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("note changed ads", err)
	}
	return nil
}

// AdChanges are what was noted in the last reach before an earlier reading, or
// before now without one, and since; of each ad the newest. asked is when it was
// read, by the store's clock. A note may be seen a moment after it is dated,
// hence the reach.
func (s *Store) AdChanges(ctx context.Context, since time.Time, reach time.Duration) (changes []click.AdChange, asked time.Time, err error) {
	from := "now64(6)"
	args := []any{reach.Microseconds()}
	if !since.IsZero() {
		from, args = "fromUnixTimestamp64Micro(toInt64(?))", []any{since.UnixMicro(), reach.Microseconds()}
	}
	// One row whether anything was changed or not: asked often, and usually for nothing, it costs half of a UNION of the time and the
	// changes. The time is that of the query's analysis, which is before it reads.
	var at int64
	var ids []int64
	var versions []uint64
	err = s.conn.QueryRow(ctx, `SELECT toUnixTimestamp64Micro(now64(6)), groupArray(ad_id), groupArray(version)
		FROM ad_changes WHERE changed_at > `+from+` - toIntervalMicrosecond(?)`, args...).Scan(&at, &ids, &versions)
	if err != nil {
		return nil, time.Time{}, readError("read changed ads", err)
	}
	newest := make(map[int64]uint64, len(ids))
	for i, id := range ids {
		newest[id] = max(newest[id], versions[i])
	}
	for id, version := range newest {
		changes = append(changes, click.AdChange{AdID: id, Version: version})
	}
	return changes, time.UnixMicro(at), nil
}

// AdsByID are the newest rows of ads, by id; those that do not exist are left
// away. As for one ad, fan-outs are read first: see adQuery.
func (s *Store) AdsByID(ctx context.Context, adIDs []int64) ([]click.Ad, error) {
	wanted, err := ext.NewTable("wanted", ext.Column("ad_id", "Int64"))
	if err != nil {
		return nil, fmt.Errorf("read ads: %w", err)
	}
	for _, id := range adIDs {
		if err := wanted.Append(id); err != nil {
			return nil, fmt.Errorf("read ads: %w", err)
		}
	}
	ctx = ch.Context(ctx, ch.WithExternalTable(wanted))
	fanOuts, err := s.fanOuts(ctx, "ad_id IN (SELECT ad_id FROM wanted)")
	if err != nil {
		return nil, err
	}
	ads, err := s.ads(ctx, `SELECT `+adColumns+`, toUInt8(1), toUInt64(0) FROM ads WHERE ad_id IN (SELECT ad_id FROM wanted)
		ORDER BY ad_id, version DESC LIMIT 1 BY ad_id`)
	spread(ads, fanOuts)
	return ads, err
}

// AdsBehind is up to limit ads with ids above after, by id, with their fan-outs.
func (s *Store) AdsBehind(ctx context.Context, after int64, limit int) ([]click.Ad, error) {
	fanOuts, err := s.fanOuts(ctx, "ad_id > ?", after)
	if err != nil {
		return nil, err
	}
	ads, err := s.ads(ctx, `SELECT `+adColumns+`, toUInt8(1), toUInt64(0) FROM ads WHERE ad_id > ?
		ORDER BY ad_id, version DESC LIMIT 1 BY ad_id LIMIT ?`, after, limit)
	spread(ads, fanOuts)
	return ads, err
}

// fanOuts are the newest fan-outs of ads; there are few.
func (s *Store) fanOuts(ctx context.Context, where string, args ...any) (map[int64]click.FanOut, error) {
	rows, err := s.conn.Query(ctx, "SELECT ad_id, argMax(fan_out, version), max(version) FROM fan_outs WHERE "+where+" GROUP BY ad_id", args...)
	if err != nil {
		return nil, readError("read fan-outs", err)
	}
	defer func() { _ = rows.Close() }()
	all := map[int64]click.FanOut{}
	for rows.Next() {
		var f click.FanOut
		if err := rows.Scan(&f.AdID, &f.FanOut, &f.Version); err != nil {
			return nil, fmt.Errorf("read fan-outs: %w", err)
		}
		all[f.AdID] = f
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read fan-outs", err)
	}
	return all, nil
}

func spread(ads []click.Ad, fanOuts map[int64]click.FanOut) {
	for i := range ads {
		if f, ok := fanOuts[ads[i].ID]; ok {
			ads[i].FanOut, ads[i].FanOutVersion = f.FanOut, f.Version
		}
	}
}
