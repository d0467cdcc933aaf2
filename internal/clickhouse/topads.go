package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// reportedBlockRows is what is read at a time of a table whose first ads are
// looked for: one step of its index.
const reportedBlockRows = 8192

// TopAds are the ads of q with the most clicks, the most clicked first; of ads
// with as many clicks the one with the smaller id. What is before sealed is read
// from the coarsest tables that have it, the rest is counted.
func (s *Store) TopAds(ctx context.Context, q ReportQuery, sealed time.Time) ([]Figure, error) {
	q, pieces, fresh, err := s.adsRead(ctx, q, sealed)
	if err != nil {
		return nil, err
	}
	query, args := topAdsSQL(q, pieces, fresh)
	return s.figures(ctx, "read top ads", query, args)
}

// ReportedAds are up to q.RowsMax ads behind one, ascending, that have something
// to be told: clicks, a restatement or, from filteredFrom on, clicks that were
// not counted.
func (s *Store) ReportedAds(ctx context.Context, q ReportQuery, sealed, filteredFrom time.Time, after int64) ([]int64, error) {
	q, pieces, fresh, err := s.adsRead(ctx, q, sealed)
	if err != nil {
		return nil, err
	}
	query, args := reportedAdsSQL(q, pieces, fresh, filteredFrom, after)
	rows, err := s.conn.Query(s.limited(ctx, reportQuerySeconds, ch.Settings{"max_block_size": reportedBlockRows}), query, args...)
	if err != nil {
		return nil, readError("read reported ads", err)
	}
	defer func() { _ = rows.Close() }()
	var ads []int64
	for rows.Next() {
		var ad int64
		if err := rows.Scan(&ad); err != nil {
			return nil, fmt.Errorf("read reported ads: %w", err)
		}
		ads = append(ads, ad)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read reported ads", err)
	}
	return ads, nil
}

// adsRead plans a question about each ad in one point: what is sealed in
// pieces, and what is counted from where on.
func (s *Store) adsRead(ctx context.Context, q ReportQuery, sealed time.Time) (ReportQuery, []click.Piece, time.Time, error) {
	q.ByAd, q.AdIDs, q.Starts = true, nil, []time.Time{q.From}
	past, fresh := q, q.From
	if sealed.Before(past.To) {
		past.To = sealed
	}
	if !past.From.Before(past.To) {
		return q, nil, fresh, nil
	}
	fresh = past.To
	pieces, err := s.planRead(ctx, past)
	return q, pieces, fresh, err
}

// eachAd are the tables that tell of each ad, each with its condition: of what
// is sealed and of what is not.
func eachAd(q ReportQuery, pieces []click.Piece, fresh time.Time) []adsOf {
	var all []adsOf
	for _, level := range []click.Level{click.PerMinute, click.PerHour, click.PerDay, click.PerWeek, click.PerMonth} {
		if ranges := rangesOf(pieces, level); len(ranges) > 0 {
			all = append(all, adsOf{table: figureTable(level), keys: inRanges(ranges), counts: "clicks", some: "clicks > 0"})
		}
	}
	if fresh.Before(q.To) {
		all = append(all, adsOf{table: "clicks", keys: inMinutesFrom(fresh, q.To), counts: "toUInt64(1)"})
	}
	return all
}

// adsOf is a table that has rows of ads.
type adsOf struct {
	table  string
	keys   string // which rows, by columns of the key
	counts string // the clicks of a row
	some   string // which of them say that an ad has something to be told; none: all
}

func inMinutesFrom(from, to time.Time) string {
	return fmt.Sprintf("minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC')", from.Unix(), to.Unix())
}

func topAdsSQL(q ReportQuery, pieces []click.Piece, fresh time.Time) (string, []any) {
	var parts []string
	var args []any
	for _, of := range eachAd(q, pieces, fresh) { // not summed up apart: most ads are in each
		parts = append(parts, fmt.Sprintf(`SELECT ad_id, %s AS part
FROM %s FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND %s`, of.counts, of.table, of.keys))
		args = append(args, q.AdvertiserID)
	}
	return fmt.Sprintf(`SELECT ad_id AS series, toInt64(%d) AS start, sum(part) AS figure
FROM
(
%s
)
GROUP BY series
HAVING figure > 0
ORDER BY figure DESC, series
LIMIT %d`, q.From.Unix(), strings.Join(parts, "\nUNION ALL\n"), q.RowsMax), args
}

// reportedAdsSQL takes the first ads of each table, which end the reading of it:
// the first of all are among them.
func reportedAdsSQL(q ReportQuery, pieces []click.Piece, fresh, filteredFrom time.Time, after int64) (string, []any) {
	tables := append(eachAd(q, pieces, fresh), adsOf{table: "restatements", keys: inMinutesFrom(q.From, q.To), some: "before != after"})
	if filteredFrom.Before(q.From) {
		filteredFrom = q.From
	}
	if filteredFrom.Before(q.To) {
		tables = append(tables, adsOf{table: "clicks_filtered", keys: inMinutesFrom(filteredFrom, q.To)})
	}
	var parts []string
	var args []any
	for _, of := range tables {
		some := ""
		if of.some != "" {
			some = "\nWHERE " + of.some
		}
		parts = append(parts, fmt.Sprintf(`(
SELECT DISTINCT ad_id
FROM %s FINAL
PREWHERE advertiser_id = ? AND ad_id > %d AND %s%s
ORDER BY ad_id
LIMIT %d
)`, of.table, after, of.keys, some, q.RowsMax))
		args = append(args, q.AdvertiserID)
	}
	return fmt.Sprintf(`SELECT DISTINCT ad_id
FROM
(
%s
)
ORDER BY ad_id
LIMIT %d`, strings.Join(parts, "\nUNION ALL\n"), q.RowsMax), args
}
