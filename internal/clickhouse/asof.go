package clickhouse

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// What was final at a time is told from two histories: seals, which has when
// each version of a minute was sealed, and restatements, which has what each
// version replaced. The version of a minute as of a time is the newest that was
// sealed by then. A figure as of that version is what the first change behind it
// replaced, or, if there was none, what it is now.
//
// So a change that a flush announced, or even wrote, and did not seal counts
// from when the next flush sealed the minute, or never: its row still names the
// figure that stood before it. And as a seal never moves, the answer never
// changes: whatever is asked again is answered the same.

// asOfAttemptsMax is how often figures are read anew because corrections of them
// came in between.
const asOfAttemptsMax = 5

// asOfPrefixQuery is prefixQuery as of a time.
const asOfPrefixQuery = `
SELECT countIf(minute = {from:DateTime('UTC')} + INTERVAL (n - 1) MINUTE)
FROM
(
    SELECT minute, row_number() OVER (ORDER BY minute) AS n
    FROM
    (
        SELECT minute FROM seals
        WHERE minute >= {from:DateTime('UTC')} AND state = 'SEALED' AND sealed_at <= fromUnixTimestamp64Micro({as_of:Int64}, 'UTC')
        GROUP BY minute
    )
)`

// SealedThroughAsOf is SealedThrough as it was at a time. It is
// click.ErrNotSettled while that is not long enough ago, and
// click.ErrBeforeLedger when it is too long ago.
func (s *Store) SealedThroughAsOf(ctx context.Context, asOf time.Time) (time.Time, error) {
	now, err := s.NextVersion(ctx) // the clock that dates seals
	if err != nil {
		return time.Time{}, err
	}
	if asOf.Add(click.AsOfSettled).After(time.UnixMicro(int64(now))) {
		return time.Time{}, click.ErrNotSettled
	}
	began, err := s.LedgerStart(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if began.IsZero() || asOf.Before(began) {
		// Perhaps it was in the ledger before this one, whose seals setup has restored.
		if began, err = s.restoredStart(ctx, asOf); err != nil {
			return time.Time{}, err
		}
	}
	var count uint64
	err = s.conn.QueryRow(ch.Context(ctx, ch.WithParameters(ch.Parameters{
		"from": began.Format(time.DateTime), "as_of": microText(asOf),
	})), asOfPrefixQuery).Scan(&count)
	if err != nil {
		return time.Time{}, readError("read what was sealed", err)
	}
	return began.Add(time.Duration(count) * click.WindowLength), nil
}

// restoredStart is the first minute that was sealed by a time.
func (s *Store) restoredStart(ctx context.Context, asOf time.Time) (time.Time, error) {
	var count uint64
	var start time.Time
	err := s.conn.QueryRow(ch.Context(ctx, ch.WithParameters(ch.Parameters{"as_of": microText(asOf)})), `SELECT count(), min(minute) FROM seals
		WHERE state = 'SEALED' AND sealed_at <= fromUnixTimestamp64Micro({as_of:Int64}, 'UTC')`).Scan(&count, &start)
	if err == nil && count == 0 {
		return time.Time{}, click.ErrBeforeLedger
	}
	if err != nil {
		return time.Time{}, readError("read what was sealed first", err)
	}
	return start.UTC(), nil
}

func microText(at time.Time) string { return strconv.FormatInt(at.UnixMicro(), 10) }

// FiguresAsOf are the non-zero figures of q as of a time, and the points in
// which a figure had been corrected by then. The caller ends the range at what
// was sealed.
func (s *Store) FiguresAsOf(ctx context.Context, q ReportQuery, asOf time.Time) (figures, restated []Figure, err error) {
	err = s.uncorrected(ctx, q, func() error {
		pieces, undone, err := s.planAsOf(ctx, q, asOf)
		if err != nil {
			return err
		}
		query, args := asOfFiguresSQL(q, pieces, asOf)
		if !undone {
			query, args = sealedFiguresSQL(q, pieces)
		}
		if figures, err = s.figures(ctx, "read figures as of a time", query, args); err != nil {
			return err
		}
		restated, err = s.figures(ctx, "read restatements as of a time", restatedAsOfSQL(q, asOf), nil)
		return err
	})
	return figures, restated, err
}

// ReportedAdsAsOf is ReportedAds as of a time: ads that had clicks or a
// restatement. The caller ends the range at what was sealed.
func (s *Store) ReportedAdsAsOf(ctx context.Context, q ReportQuery, asOf time.Time, after int64) (ads []int64, err error) {
	q.ByAd, q.AdIDs, q.Starts = true, nil, []time.Time{q.From}
	err = s.uncorrected(ctx, q, func() error {
		pieces, _, err := s.planAsOf(ctx, q, asOf)
		if err != nil {
			return err
		}
		query, args := reportedAdsAsOfSQL(q, pieces, asOf, after)
		found, err := s.figures(ctx, "read reported ads as of a time", query, args)
		ads = make([]int64, len(found))
		for i, f := range found {
			ads[i] = f.AdID
		}
		return err
	})
	return ads, err
}

// uncorrected reads until no correction of q's figures was announced meanwhile.
// A figure that a flush changes is announced before, so what was read then
// belongs to the announcements that were read with it.
func (s *Store) uncorrected(ctx context.Context, q ReportQuery, read func() error) error {
	before, err := s.restatementSet(ctx, q)
	for range asOfAttemptsMax {
		if err != nil {
			return err
		}
		if err := read(); err != nil {
			return err
		}
		var after [2]uint64
		if after, err = s.restatementSet(ctx, q); err == nil && after == before {
			return nil
		}
		before = after
	}
	return fmt.Errorf("figures are corrected while they are read: %w", click.ErrUnavailable)
}

// restatementSet tells one set of restatements from another.
func (s *Store) restatementSet(ctx context.Context, q ReportQuery) (set [2]uint64, err error) {
	found, err := s.figures(ctx, "compare restatements", restatementSetSQL(q), nil)
	if err == nil && len(found) == 1 {
		set = [2]uint64{uint64(found[0].Start.Unix()), found[0].Clicks}
	}
	return set, err
}

// planAsOf is planRead, but for the days with a change that is to be undone:
// these are read by the minute. Undone says that there is one.
func (s *Store) planAsOf(ctx context.Context, q ReportQuery, asOf time.Time) (pieces []click.Piece, undone bool, err error) {
	later, err := s.figures(ctx, "read what was changed later", undoneDaysSQL(q, asOf), nil)
	if err != nil {
		return nil, false, err
	}
	rolled, err := s.rolledFor(ctx, q)
	if err != nil {
		return nil, false, err
	}
	if pieces = rolled.plan(q, nil).pieces; onlyMinutes(pieces) {
		return pieces, len(later) > 0, nil
	}
	announced, err := s.announced(ctx, q)
	if err != nil {
		return nil, false, err
	}
	days := rolled.changed(announced)
	for _, f := range later {
		days[click.DayOf(f.Start)] = true
	}
	return rolled.plan(q, days).pieces, len(later) > 0, nil
}

func onlyMinutes(pieces []click.Piece) bool {
	for _, p := range pieces {
		if p.Level != click.PerMinute {
			return false
		}
	}
	return true
}

// ofRange selects the rows of q in a table of restatements.
func (q ReportQuery) ofRange() string {
	return fmt.Sprintf("advertiser_id = %d AND %s AND %s", q.AdvertiserID, q.ads(true), inRange(q.From, q.To))
}

func restatementSetSQL(q ReportQuery) string {
	return fmt.Sprintf(`SELECT toInt64(0) AS series, toInt64(count()) AS start, sum(cityHash64(ad_id, minute, replaced_version, at, before, after)) AS figure
FROM restatements FINAL
WHERE %s`, q.ofRange())
}

// changesAsOfSQL are the changes of q's figures, each with the version that its
// minute had as of a time: 0 when it was not sealed, or had been from the
// beginning, with nothing in it. Both sides are subqueries, so the join is made
// here and not on the shards.
func changesAsOfSQL(q ReportQuery, asOf time.Time) string {
	return fmt.Sprintf(`(
    SELECT ad_id, minute, toUInt64(toUnixTimestamp64Micro(at)) AS version, before
    FROM restatements FINAL
    WHERE %s AND before != after
) AS changed
LEFT JOIN
(
    SELECT minute, max(version) AS known
    FROM seals
    WHERE %s AND sealed_at <= fromUnixTimestamp64Micro(%d, 'UTC')
    GROUP BY minute
) AS sealed USING (minute)`, q.ofRange(), inRange(q.From, q.To), asOf.UnixMicro())
}

// undoneSQL are the figures that were changed after a time, as they were.
func undoneSQL(q ReportQuery, asOf time.Time) string {
	return fmt.Sprintf(`SELECT ad_id, minute, argMin(before, version) AS clicks
FROM
%s
WHERE version > known
GROUP BY ad_id, minute`, changesAsOfSQL(q, asOf))
}

func undoneDaysSQL(q ReportQuery, asOf time.Time) string {
	return fmt.Sprintf(`SELECT toInt64(0) AS series, toInt64(toUnixTimestamp(toStartOfDay(minute))) AS start, toUInt64(0) AS figure
FROM
%s
WHERE version > known
GROUP BY start
ORDER BY start`, changesAsOfSQL(q, asOf))
}

func restatedAsOfSQL(q ReportQuery, asOf time.Time) string {
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, toUInt64(0) AS figure
FROM
%s
WHERE version <= known
GROUP BY series, start
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), changesAsOfSQL(q, asOf), q.RowsMax)
}

// asOfPartsSQL are queries whose figures add up to those as of a time: what is
// to be undone is left out where it is read, and added as it was. It lies in
// minutes only.
func asOfPartsSQL(q ReportQuery, pieces []click.Piece, asOf time.Time) (parts []string, args []any) {
	for _, level := range []click.Level{click.PerMinute, click.PerHour, click.PerDay, click.PerWeek, click.PerMonth} {
		ranges := rangesOf(pieces, level)
		if len(ranges) == 0 {
			continue
		}
		condition := fmt.Sprintf("advertiser_id = ? AND %s AND %s", q.ads(true), inRanges(ranges))
		args = append(args, q.AdvertiserID)
		if level == click.PerMinute {
			condition += fmt.Sprintf("\nWHERE (ad_id, minute) GLOBAL NOT IN (SELECT ad_id, minute FROM (\n%s\n))", undoneSQL(q, asOf))
		}
		parts = append(parts, fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, sum(clicks) AS part
FROM %s FINAL
PREWHERE %s
GROUP BY series, start`, q.series(), q.start(), figureTable(level), condition))
	}
	parts = append(parts, fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, sum(clicks) AS part
FROM
(
%s
)
GROUP BY series, start`, q.series(), q.start(), undoneSQL(q, asOf)))
	return parts, args
}

func asOfFiguresSQL(q ReportQuery, pieces []click.Piece, asOf time.Time) (string, []any) {
	parts, args := asOfPartsSQL(q, pieces, asOf)
	return fmt.Sprintf(`SELECT series, start, sum(part) AS figure
FROM
(
%s
)
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT %d`, strings.Join(parts, "\nUNION ALL\n"), q.RowsMax), args
}

func reportedAdsAsOfSQL(q ReportQuery, pieces []click.Piece, asOf time.Time, after int64) (string, []any) {
	parts, args := asOfPartsSQL(q, pieces, asOf)
	parts = append(parts, fmt.Sprintf(`SELECT ad_id AS series, toInt64(%d) AS start, toUInt64(1) AS part
FROM
%s
WHERE version <= known
GROUP BY series`, q.From.Unix(), changesAsOfSQL(q, asOf)))
	return fmt.Sprintf(`SELECT series, toInt64(%d) AS start, sum(part) AS figure
FROM
(
%s
)
WHERE series > %d
GROUP BY series
HAVING figure > 0
ORDER BY series
LIMIT %d`, q.From.Unix(), strings.Join(parts, "\nUNION ALL\n"), after, q.RowsMax), args
}
