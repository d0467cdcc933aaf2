package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
// from the coarsest tables that have it, the rest is counted. Restated are those
// with a figure that was corrected after it had been final.
func (s *Store) TopAds(ctx context.Context, q ReportQuery, sealed time.Time) (figures, restated []Figure, err error) {
	q, plan, fresh, err := s.adsRead(ctx, q, sealed)
	if err != nil {
		return nil, nil, err
	}
	read, ok, err := s.topOfSettled(ctx, q, plan, fresh)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		query, args := topAdsSQL(q, eachAd(q, plan.pieces, fresh))
		if read.figures, err = s.figures(ctx, "read top ads", query, args); err != nil {
			return nil, nil, err
		}
		read.at = time.Now()
	}
	final := q.behind(read.at)
	final.To, final.AdIDs = fresh, nil
	for _, f := range read.figures {
		final.AdIDs = append(final.AdIDs, f.AdID)
	}
	if len(final.AdIDs) == 0 || !final.From.Before(final.To) {
		return read.figures, nil, nil
	}
	restated, err = s.RestatedPoints(ctx, final)
	return read.figures, restated, err
}

// topOfSettled adds what may still change to what is remembered of each ad. It is
// not ok if nothing is settled, or there are more ads than are remembered: then
// it costs less to add all of it up where it is read.
func (s *Store) topOfSettled(ctx context.Context, q ReportQuery, plan readPlan, fresh time.Time) (read readFigures, ok bool, err error) {
	past, whole, first := wholeDays(q, plan)
	if len(whole.settled) == 0 || s.settled == nil {
		return readFigures{}, false, nil
	}
	past.RowsMax = s.settled.figuresEach + 1
	settled := newSettledQuery(past, whole)
	if s.settled.tooMany(settled.key) {
		return readFigures{}, false, nil
	}
	if read, err = s.readSettled(ctx, settled); err != nil {
		return readFigures{}, false, err
	}
	if len(read.figures) == past.RowsMax {
		s.settled.keepTooMany(settled.key)
		return readFigures{}, false, nil
	}
	s.settled.keep(read.toKeep)
	for i := range read.figures {
		read.figures[i].Start = q.From
	}
	all := q
	all.RowsMax = past.RowsMax
	if len(first.settled) > 0 {
		more, err := s.readSettled(ctx, newSettledQuery(all, first))
		if err != nil || len(more.figures) == all.RowsMax {
			return readFigures{}, false, err
		}
		s.settled.keep(more.toKeep)
		read.figures, read.at = addFigures(read.figures, more.figures), later(read.at, more.at)
	}
	if rest := eachAd(q, plan.rest, fresh); len(rest) > 0 {
		query, args := adClicksSQL(all, rest)
		more, err := s.figures(ctx, "read clicks of ads", query, args)
		if err != nil || len(more) == all.RowsMax {
			return readFigures{}, false, err
		}
		read.figures, read.at = addFigures(read.figures, more), time.Now()
	}
	read.figures = mostClicked(read.figures, q.RowsMax)
	return read, true, nil
}

// wholeDays are the settled pieces from the first midnight on, as a question of
// their own: it stays the same while a range that ends now moves on. First are
// those before.
func wholeDays(q ReportQuery, plan readPlan) (past ReportQuery, whole, first readPlan) {
	midnight := click.DayOf(q.From).Start()
	if midnight.Before(q.From) {
		midnight = click.DayOf(q.From).Add(1).Start()
	}
	past, whole, first = q, readPlan{ledger: plan.ledger}, readPlan{ledger: plan.ledger}
	past.From, past.Starts = midnight, []time.Time{midnight}
	for _, p := range plan.settled {
		if p.From.Before(midnight) {
			first.settled = append(first.settled, p)
		} else {
			whole.settled = append(whole.settled, p)
		}
	}
	return past, whole, first
}

// mostClicked are the first n figures in the order of TopAds, of figures that
// are ascending by ad.
func mostClicked(figures []Figure, n int) []Figure {
	var best []Figure
	floor := uint64(0) // of n ads with smaller ids
	for i, f := range figures {
		if f.Clicks > floor {
			best = append(best, f)
		}
		if len(best) < 2*n && i+1 < len(figures) {
			continue
		}
		slices.SortFunc(best, func(a, b Figure) int {
			return cmp.Or(cmp.Compare(b.Clicks, a.Clicks), cmp.Compare(a.AdID, b.AdID))
		})
		if len(best) >= n {
			best = best[:n]
			floor = best[n-1].Clicks
		}
	}
	return best
}

// ReportedAds are up to q.RowsMax ads behind one, ascending, that have something
// to be told: clicks, a restatement or, from filteredFrom on, clicks that were
// not counted.
func (s *Store) ReportedAds(ctx context.Context, q ReportQuery, sealed, filteredFrom time.Time, after int64) ([]int64, error) {
	q, plan, fresh, err := s.adsRead(ctx, q, sealed)
	if err != nil {
		return nil, err
	}
	query, args := reportedAdsSQL(q, plan.pieces, fresh, filteredFrom, after)
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

// adsRead plans a question about each ad in one point: how what is sealed is
// read, and from where on it is counted.
func (s *Store) adsRead(ctx context.Context, q ReportQuery, sealed time.Time) (ReportQuery, readPlan, time.Time, error) {
	q.ByAd, q.AdIDs, q.Starts, q.Asked = true, nil, []time.Time{q.From}, q.asked()
	past, fresh := q, q.From
	if sealed.Before(past.To) {
		past.To = sealed
	}
	if !past.From.Before(past.To) {
		return q, readPlan{}, fresh, nil
	}
	fresh = past.To
	rolled, err := s.rolledFor(ctx, past)
	if err != nil {
		return q, readPlan{}, fresh, err
	}
	plan, err := s.planRead(ctx, past, rolled)
	return q, plan, fresh, err
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

func topAdsSQL(q ReportQuery, tables []adsOf) (string, []any) {
	return sumOfAdsSQL(q, tables, "figure DESC, series")
}

// adClicksSQL are the clicks of each ad.
func adClicksSQL(q ReportQuery, tables []adsOf) (string, []any) {
	return sumOfAdsSQL(q, tables, "series")
}

func sumOfAdsSQL(q ReportQuery, tables []adsOf, order string) (string, []any) {
	var parts []string
	var args []any
	for _, of := range tables { // not summed up apart: most ads are in each
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
ORDER BY %s
LIMIT %d`, q.From.Unix(), strings.Join(parts, "\nUNION ALL\n"), order, q.RowsMax), args
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
