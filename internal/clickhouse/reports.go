package clickhouse

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const (
	reportQuerySeconds = 15
	// One boundary of a point is eleven characters of the query's text.
	reportQueryBytesMax = 1 << 20
)

// ReportQuery asks for the clicks of one advertiser, by point.
type ReportQuery struct {
	AdvertiserID int64
	AdIDs        []int64   // only these; none: all
	ByAd         bool      // figures of each ad instead of their sum
	From, To     time.Time // whole minutes, half-open
	// Starts are the first instants of the points, ascending, the first not
	// after From. None: every minute is a point.
	Starts  []time.Time
	RowsMax int // more figures than this are cut off: ask for one more than is allowed
}

// Figure is the clicks of one point. AdID is 0 for a sum.
type Figure struct {
	AdID   int64
	Start  time.Time
	Clicks uint64
}

// SealedFigures are the non-zero figures from the sealed minutes. The caller
// ends the range at what is sealed.
func (s *Store) SealedFigures(ctx context.Context, q ReportQuery) ([]Figure, error) {
	query, args := sealedFiguresSQL(q)
	return s.figures(ctx, "read sealed figures", query, args)
}

// FreshFigures are the non-zero figures counted from the stored clicks: of
// minutes that are not sealed yet.
func (s *Store) FreshFigures(ctx context.Context, q ReportQuery) ([]Figure, error) {
	query, args := freshFiguresSQL(q)
	return s.figures(ctx, "count fresh clicks", query, args)
}

// RestatedPoints are the points with a minute in which a figure that is summed
// here was corrected after it had been final. Clicks is 0 in them. Read them
// after the figures: a correction is written before the figure it corrects.
func (s *Store) RestatedPoints(ctx context.Context, q ReportQuery) ([]Figure, error) {
	query, args := restatedPointsSQL(q)
	return s.figures(ctx, "read restatements", query, args)
}

func sealedFiguresSQL(q ReportQuery) (string, []any) {
	where, args := q.where(true)
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, sum(clicks) AS figure
FROM clicks_per_minute FINAL
WHERE %s
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), where, q.RowsMax), args
}

func freshFiguresSQL(q ReportQuery) (string, []any) {
	where, args := q.where(false)
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, count() AS figure
FROM clicks FINAL
WHERE %s
GROUP BY series, start
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), where, q.RowsMax), args
}

func restatedPointsSQL(q ReportQuery) (string, []any) {
	where, args := q.where(true)
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, toUInt64(0) AS figure
FROM restatements FINAL
WHERE %s AND before != after
GROUP BY series, start
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), where, q.RowsMax), args
}

// where selects the rows. A figure table has a row with ad_id 0 for the sum of
// all ads; the clicks themselves have not.
func (q ReportQuery) where(figureTable bool) (string, []any) {
	conditions := []string{"advertiser_id = ?", "minute >= toDateTime(?, 'UTC')", "minute < toDateTime(?, 'UTC')"}
	args := []any{q.AdvertiserID, q.From.Unix(), q.To.Unix()}
	switch {
	case len(q.AdIDs) > 0:
		conditions, args = append(conditions, "ad_id IN (?)"), append(args, q.AdIDs)
	case figureTable && q.ByAd:
		conditions = append(conditions, "ad_id != 0")
	case figureTable:
		conditions = append(conditions, "ad_id = 0")
	}
	return strings.Join(conditions, " AND "), args
}

func (q ReportQuery) series() string {
	if q.ByAd {
		return "ad_id"
	}
	return "toInt64(0)"
}

// start is the point a minute belongs to, in Unix seconds. The points come
// from outside, as local clocks make them: ClickHouse only looks them up.
func (q ReportQuery) start() string {
	if len(q.Starts) == 0 {
		return "toUnixTimestamp(minute)"
	}
	var b strings.Builder
	b.WriteString("roundDown(toUnixTimestamp(minute), [")
	for i, start := range q.Starts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(start.Unix(), 10))
	}
	b.WriteString("])")
	return b.String()
}

func (s *Store) figures(ctx context.Context, what, query string, args []any) ([]Figure, error) {
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"max_execution_time": reportQuerySeconds,
		"max_query_size":     reportQueryBytesMax,
	}))
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, readError(what, err)
	}
	return scanFigures(what, rows)
}

func scanFigures(what string, rows driver.Rows) ([]Figure, error) {
	defer func() { _ = rows.Close() }()
	var figures []Figure
	for rows.Next() {
		var f Figure
		var start int64
		if err := rows.Scan(&f.AdID, &start, &f.Clicks); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		f.Start = time.Unix(start, 0).UTC()
		figures = append(figures, f)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(what, err)
	}
	return figures, nil
}
