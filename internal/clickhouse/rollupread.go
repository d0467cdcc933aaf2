package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"clickledger/internal/click"
)

// clusterGap is how far apart ranges of one table must be so that what lies
// between is skipped by the key. A granule of a busy series is some six days of
// minutes; closer ranges are read as one and told apart row by row.
const clusterGap = 7 * 24 * time.Hour

// SealedFigures are the non-zero figures from the sealed minutes, read from the
// coarsest tables that have them, and the points with a minute in which a figure
// that is summed here was corrected after it had been final: Clicks is 0 in them.
// The caller ends the range at what is sealed.
//
// A figure of a sealed minute changes only after restatements has a row that
// names the version it is about to have, of its advertiser or, when it is not
// told which, of advertiser 0. So figures are read as if nothing had changed
// since it was rolled up, or remembered from when they were; if no later change
// was announced by the time they are there, they are what the minutes say. Else
// they are read once more, the changed days by the minute.
func (s *Store) SealedFigures(ctx context.Context, q ReportQuery) (figures, restated []Figure, err error) {
	q = q.behind(q.asked())
	rolled, err := s.rolledFor(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if q.ByAd {
		return s.sealedByAd(ctx, q, rolled)
	}
	plan := rolled.plan(q, nil)
	asking, stop := context.WithCancel(ctx)
	defer stop()
	asked := s.askCorrections(asking, q, plan)
	read, err := s.read(ctx, q, plan)
	if err != nil {
		stop()
	}
	<-asked
	if err != nil {
		return nil, nil, err
	}
	if len(plan.settled) == 0 {
		restated, err = s.RestatedPoints(ctx, q.behind(read.at))
		return read.figures, restated, err
	}
	restated, announced, err := s.corrections(ctx, q.behind(read.at))
	if err != nil {
		return nil, nil, err
	}
	if again := rolled.plan(q, rolled.changed(announced)); !again.same(plan) {
		if read, err = s.read(ctx, q, again); err != nil {
			return nil, nil, err
		}
		if restated, err = s.RestatedPoints(ctx, q.behind(read.at)); err != nil {
			return nil, nil, err
		}
	}
	s.settled.keep(read.toKeep)
	return read.figures, restated, nil
}

// askCorrections asks for corrections beside figures if neither is remembered, and
// closes what it returns when they are. They are no answer, but remembered with
// the parts that they are of: if behind the figures the parts are still the same,
// a look at them was all there was to wait for.
func (s *Store) askCorrections(ctx context.Context, q ReportQuery, plan readPlan) <-chan struct{} {
	asked := make(chan struct{})
	if s.parts == nil || len(plan.settled) == 0 || s.settled.knows(newSettledQuery(q, plan).key) || !s.parts.lacks(partsKey(correctionsSQL(q))) {
		close(asked)
		return asked
	}
	go func() {
		defer close(asked)
		_, _, _ = s.corrections(ctx, q) // who needs them asks again, and is told what is wrong
	}()
	return asked
}

// sealedByAd asks for what was announced first: of each minute, not of each ad.
func (s *Store) sealedByAd(ctx context.Context, q ReportQuery, rolled rolledUp) (figures, restated []Figure, err error) {
	plan, err := s.planRead(ctx, q, rolled)
	if err != nil {
		return nil, nil, err
	}
	read, err := s.read(ctx, q, plan)
	if err != nil {
		return nil, nil, err
	}
	s.settled.keep(read.toKeep)
	restated, err = s.RestatedPoints(ctx, q.behind(read.at))
	return read.figures, restated, err
}

func (s *Store) readPieces(ctx context.Context, q ReportQuery, pieces []click.Piece) ([]Figure, error) {
	query, args := sealedFiguresSQL(q, pieces)
	return s.figures(ctx, "read sealed figures", query, args)
}

// rolledFor is what is rolled up, as far as q may be answered by it: nothing of a
// day that has not ended is.
func (s *Store) rolledFor(ctx context.Context, q ReportQuery) (rolledUp, error) {
	if time.Now().Before(click.DayOf(q.From).Add(1).Start()) {
		return rolledUp{}, nil
	}
	return s.rollups.recent(ctx, s)
}

// planRead decides which tables answer q, by what was announced until now: for
// who reads figures next, and does not look again.
func (s *Store) planRead(ctx context.Context, q ReportQuery, rolled rolledUp) (readPlan, error) {
	plan := rolled.plan(q, nil)
	if len(plan.settled) == 0 {
		return plan, nil
	}
	announced, err := s.announced(ctx, q.behind(time.Now()))
	if err != nil {
		return readPlan{}, err
	}
	return rolled.plan(q, rolled.changed(announced)), nil
}

// announcement says that a figure of a minute had, or is about to have, a
// version. It may be taken back, or not yet carried out: then the minutes are
// read, which is never wrong.
type announcement struct {
	minute  time.Time
	version uint64
}

// announcedSQL is the newest announcement of each minute, of any of the series
// of q.
func announcedSQL(q ReportQuery, more string) (string, []any) {
	return fmt.Sprintf(`SELECT minute, toUInt64(max(toUnixTimestamp64Micro(at))) AS newest%s
FROM restatements FINAL
PREWHERE (advertiser_id = ? AND %s OR advertiser_id = 0) AND minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC')
GROUP BY minute`, more, q.ads(true), q.From.Unix(), q.To.Unix()), []any{q.AdvertiserID}
}

// correctionsSQL is what was announced, by point of a sum, and whether it is a
// correction that stands.
func correctionsSQL(q ReportQuery) (string, []any) {
	inner, args := announcedSQL(q, ", max(before != after) AS corrected")
	return fmt.Sprintf(`SELECT toInt64(%s) AS start, max(corrected), groupArray(toUnixTimestamp(minute)), groupArray(newest)
FROM
(
%s
)
GROUP BY start
ORDER BY start`, q.start(), inner), args
}

// corrections are the points of a sum with a figure that was corrected, and all
// that was announced.
func (s *Store) corrections(ctx context.Context, q ReportQuery) (restated []Figure, announced []announcement, err error) {
	query, args := correctionsSQL(q)
	answer, err := s.byParts(ctx, q, restatementsTable, query, args, func() (readByParts, error) {
		return s.readCorrections(ctx, query, args)
	})
	return answer.points, answer.announced, err
}

func (s *Store) readCorrections(ctx context.Context, query string, args []any) (out readByParts, err error) {
	const what = "read restatements"
	rows, err := s.conn.Query(s.limited(ctx, reportQuerySeconds, nil), query, args...)
	if err != nil {
		return out, readError(what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var start int64
		var corrected uint8
		var minutes []uint32
		var versions []uint64
		if err := rows.Scan(&start, &corrected, &minutes, &versions); err != nil {
			return out, fmt.Errorf("%s: %w", what, err)
		}
		if corrected > 0 {
			out.points = append(out.points, Figure{Start: time.Unix(start, 0).UTC()})
		}
		out.announced = appendAnnounced(out.announced, minutes, versions)
	}
	if err := rows.Err(); err != nil {
		return out, readError(what, err)
	}
	return out, nil
}

// announced is all that was announced of any of the series of q.
func (s *Store) announced(ctx context.Context, q ReportQuery) ([]announcement, error) {
	inner, args := announcedSQL(q, "")
	query := "SELECT groupArray(toUnixTimestamp(minute)), groupArray(newest)\nFROM\n(\n" + inner + "\n)"
	answer, err := s.byParts(ctx, q, restatementsTable, query, args, func() (out readByParts, err error) {
		var minutes []uint32
		var versions []uint64
		if err := s.conn.QueryRow(s.limited(ctx, reportQuerySeconds, nil), query, args...).Scan(&minutes, &versions); err != nil {
			return out, readError("read what changed since it was rolled up", err)
		}
		out.announced = appendAnnounced(nil, minutes, versions)
		return out, nil
	})
	return answer.announced, err
}

func appendAnnounced(to []announcement, minutes []uint32, versions []uint64) []announcement {
	for i, minute := range minutes {
		to = append(to, announcement{time.Unix(int64(minute), 0).UTC(), versions[i]})
	}
	return to
}

// sealedFiguresSQL sums the pieces, each from its table, all at once: a sum of
// each table first would take longer than its rows, which are few. A row of a
// coarser table lies in one point, that of its first minute.
func sealedFiguresSQL(q ReportQuery, pieces []click.Piece) (string, []any) {
	var parts []string
	var args []any
	columns := "minute, clicks"
	if q.ByAd {
		columns = "ad_id, minute, clicks"
	}
	for _, level := range []click.Level{click.PerMinute, click.PerHour, click.PerDay, click.PerWeek, click.PerMonth} {
		ranges := rangesOf(pieces, level)
		if len(ranges) == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s FINAL\nPREWHERE advertiser_id = ? AND %s AND %s", figureTable(level), q.ads(true), inRanges(ranges)))
		args = append(args, q.AdvertiserID)
	}
	from := parts[0]
	if len(parts) > 1 {
		from = "(\nSELECT " + columns + "\nFROM " + strings.Join(parts, "\nUNION ALL\nSELECT "+columns+"\nFROM ") + "\n)"
	}
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, sum(clicks) AS figure
FROM %s
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), from, q.RowsMax), args
}

func rangesOf(pieces []click.Piece, level click.Level) []click.Piece {
	var ranges []click.Piece
	for _, p := range pieces {
		if p.Level == level {
			ranges = append(ranges, p)
		}
	}
	return ranges
}

// inRanges is true for the periods that begin in one of the ranges, which are
// ascending and do not touch. Which range, if any, is looked up among their
// ends; what lies far from all of them is not read at all.
func inRanges(ranges []click.Piece) string {
	var clusters []string
	var bounds, begins []time.Time
	from := ranges[0].From
	for i, r := range ranges {
		bounds, begins = append(bounds, r.From, r.To), append(begins, r.From)
		if i+1 == len(ranges) || ranges[i+1].From.Sub(r.To) > clusterGap {
			clusters = append(clusters, fmt.Sprintf("(minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC'))", from.Unix(), r.To.Unix()))
			if i+1 < len(ranges) {
				from = ranges[i+1].From
			}
		}
	}
	condition := strings.Join(clusters, " OR ")
	if len(clusters) > 1 {
		condition = "(" + condition + ")"
	}
	if len(clusters) == len(ranges) {
		return condition
	}
	return fmt.Sprintf("%s AND roundDown(toUnixTimestamp(minute), [%s]) IN (%s)", condition, unixList(bounds), unixList(begins))
}
