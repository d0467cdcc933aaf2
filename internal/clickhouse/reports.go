package clickhouse

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

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
	// Asked is when the report was asked for: what is told is as of some moment
	// behind it. Zero: as of now.
	Asked time.Time
}

func (q ReportQuery) asked() time.Time {
	if q.Asked.IsZero() {
		return time.Now()
	}
	return q.Asked
}

// behind is q asked at a later time.
func (q ReportQuery) behind(at time.Time) ReportQuery {
	q.Asked = at
	return q
}

// Figure is the clicks of one point. AdID is 0 for a sum.
type Figure struct {
	AdID   int64
	Start  time.Time
	Clicks uint64
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
	answer, err := s.byParts(ctx, q, restatementsTable, query, args, func() (out readByParts, err error) {
		out.points, err = s.figures(ctx, "read restatements", query, args)
		return out, err
	})
	return answer.points, err
}

func freshFiguresSQL(q ReportQuery) (string, []any) {
	where, args := q.where(false)
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, count() AS figure
FROM clicks FINAL
PREWHERE %s
GROUP BY series, start
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), where, q.RowsMax), args
}

func restatedPointsSQL(q ReportQuery) (string, []any) {
	where, args := q.where(true)
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, toUInt64(0) AS figure
FROM restatements FINAL
PREWHERE %s
WHERE before != after
GROUP BY series, start
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), where, q.RowsMax), args
}

// where selects the rows, by columns of the key only: it is a PREWHERE although
// FINAL follows, because all versions of a row are in or out. A figure table has a row with ad_id 0 for the sum of
// all ads; the clicks themselves have not.
func (q ReportQuery) where(figureTable bool) (string, []any) {
	conditions := "advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC')"
	args := []any{q.AdvertiserID, q.From.Unix(), q.To.Unix()}
	if ads := q.ads(figureTable); ads != "" {
		conditions += " AND " + ads
	}
	return conditions, args
}

// ads selects the series, or nothing when every row is of it. Ids are named one
// by one: what is bound as a list is an array, in which no key is looked up.
func (q ReportQuery) ads(figureTable bool) string {
	switch {
	case len(q.AdIDs) > 0:
		return "ad_id IN (" + idList(q.AdIDs) + ")"
	case figureTable && q.ByAd:
		return "ad_id != 0"
	case figureTable:
		return "ad_id = 0"
	default:
		return ""
	}
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
	return "roundDown(toUnixTimestamp(minute), [" + unixList(q.Starts) + "])"
}

// unixList is instants in Unix seconds, with commas between.
func unixList(instants []time.Time) string {
	var b strings.Builder
	for i, at := range instants {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(at.Unix(), 10))
	}
	return b.String()
}

func (s *Store) figures(ctx context.Context, what, query string, args []any) ([]Figure, error) {
	rows, err := s.conn.Query(s.limited(ctx, reportQuerySeconds, nil), query, args...)
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
