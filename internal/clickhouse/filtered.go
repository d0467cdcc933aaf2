package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"clickledger/internal/click"
)

const insertFiltered = `INSERT INTO clicks_filtered (minute, advertiser_id, ad_id, reason, id, count, is_arrival)`

const (
	// filteredQuerySeconds is less than other reports may take, and filteredTimeout is
	// for all of it: a report is better without it than late.
	filteredQuerySeconds = 5
	filteredTimeout      = 10 * time.Second
)

// InsertFiltered stores what was not counted and returns when it is durable.
// Storing the same again changes no figure.
//
// The error wraps click.ErrRejected if the server refused the data itself, and
// click.ErrUnavailable if the server is away or has too much to do.
func (s *Store) InsertFiltered(ctx context.Context, entries []click.Filtered) error {
	if len(entries) == 0 {
		return nil
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"max_partitions_per_insert_block": 0}))
	batch, err := s.conn.PrepareBatch(ctx, insertFiltered)
	if err != nil {
		return filteredError(err)
	}
	defer func() { _ = batch.Close() }()
	for i, values := range filteredColumns(entries) {
		if err := batch.Column(i).Append(values); err != nil {
			return filteredError(err)
		}
	}
	if err := batch.Send(); err != nil {
		return filteredError(err)
	}
	return nil
}

func filteredColumns(entries []click.Filtered) []any {
	n := len(entries)
	minutes, reasons, ids := make([]time.Time, n), make([]string, n), make([]uuid.UUID, n)
	advertisers, ads := make([]int64, n), make([]int64, n)
	counts, arrivals := make([]uint64, n), make([]uint8, n)
	for i := range entries {
		e := &entries[i]
		minutes[i], reasons[i], ids[i] = e.Window.Start(), reasonText(e.Reason), uuid.UUID(e.ID)
		advertisers[i], ads[i], counts[i] = e.AdvertiserID, e.AdID, e.Count
		if e.Arrival {
			arrivals[i] = 1
		}
	}
	return []any{minutes, advertisers, ads, reasons, ids, counts, arrivals}
}

// reasonText is how a reason is stored.
func reasonText(v click.Verdict) string { return strings.ToLower(string(v)) }

// filteredError is stricter than insertError about what is an outage: a table
// that is missing, say, is none, because the clicks must not wait for it.
func filteredError(err error) error {
	var exception *ch.Exception
	if !errors.As(err, &exception) {
		return fmt.Errorf("insert filtered clicks: %w: %w", click.ErrUnavailable, err)
	}
	switch {
	case refusesData(exception):
		return fmt.Errorf("insert filtered clicks: %w: %w", click.ErrRejected, err)
	case exception.Code == codeUnknownTable || exception.Code == codeUnknownDatabase:
		return fmt.Errorf("insert filtered clicks: %w", err)
	default:
		return readError("insert filtered clicks", err)
	}
}

// FilteredFigure is the clicks of one point that were not counted, in the order
// of click.Reasons. AdID is 0 for a sum.
type FilteredFigure struct {
	AdID     int64
	Start    time.Time
	ByReason []uint64
}

// FilteredFigures are the points with clicks that were not counted. The error
// wraps context.DeadlineExceeded when it would take too long, click.ErrTooManyRows
// and click.ErrTooMuchMemory when it would cost too much.
//
// Of past days the answer is remembered for as long as nothing is added to them.
func (s *Store) FilteredFigures(ctx context.Context, q ReportQuery) ([]FilteredFigure, error) {
	ctx, cancel := context.WithTimeout(ctx, filteredTimeout)
	defer cancel()
	q = q.behind(q.asked())
	midnight := earlier(later(click.DayOf(q.Asked).Start(), q.From), q.To)
	past, today := q, q
	past.To, today.From = midnight, midnight
	if !past.From.Before(past.To) {
		return s.readFiltered(ctx, today)
	}
	query, args := filteredFiguresSQL(past)
	answer, err := s.byParts(ctx, past, filteredTable, query, args, func() (out readByParts, err error) {
		if out.filtered, out.copies, err = s.filteredFigures(s.limited(ctx, filteredQuerySeconds, nil), query, args); out.copies {
			out.filtered = nil
		}
		return out, err
	})
	switch {
	case err != nil:
		return nil, err
	case answer.copies: // what the counted clicks tell of them may be another thing at any moment
		return s.readFiltered(ctx, q)
	case !today.From.Before(today.To):
		return answer.filtered, nil
	}
	figures, err := s.readFiltered(ctx, today)
	if err != nil {
		return nil, err
	}
	return addFiltered(answer.filtered, figures), nil
}

// addFiltered adds up what two ranges tell, in any order. Neither is changed.
func addFiltered(a, b []FilteredFigure) []FilteredFigure {
	if len(a) == 0 {
		return b
	}
	type place struct {
		ad    int64
		start time.Time
	}
	sums, at := slices.Clone(a), make(map[place]int, len(a))
	for i, f := range a {
		at[place{f.AdID, f.Start}] = i
	}
	for _, f := range b {
		i, both := at[place{f.AdID, f.Start}]
		if !both {
			sums = append(sums, f)
			continue
		}
		sums[i].ByReason = slices.Clone(sums[i].ByReason)
		for reason, count := range f.ByReason {
			sums[i].ByReason[reason] += count
		}
	}
	return sums
}

// readFiltered asks first whether a row may be a copy of a counted click: mostly
// none may, and looking for the copies costs several times as much.
func (s *Store) readFiltered(ctx context.Context, q ReportQuery) ([]FilteredFigure, error) {
	query, args := filteredFiguresSQL(q)
	figures, copies, err := s.filteredFigures(s.limited(ctx, filteredQuerySeconds, nil), query, args)
	if err == nil && copies {
		query, args = filteredWithoutCopiesSQL(q)
		figures, _, err = s.filteredFigures(s.limited(ctx, filteredQuerySeconds, nil), query, args)
	}
	return figures, err
}

// filteredFigures also says whether there may be copies among what was counted.
func (s *Store) filteredFigures(ctx context.Context, query string, args []any) (figures []FilteredFigure, copies bool, err error) {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, false, readError("read filtered clicks", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		f := FilteredFigure{ByReason: make([]uint64, len(click.Reasons()))}
		var start int64
		var arrivals uint8
		into := []any{&f.AdID, &start, &arrivals}
		for i := range f.ByReason {
			into = append(into, &f.ByReason[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, false, fmt.Errorf("read filtered clicks: %w", err)
		}
		f.Start = time.Unix(start, 0).UTC()
		copies = copies || arrivals > 0
		figures = append(figures, f)
	}
	if err := rows.Err(); err != nil {
		return nil, false, readError("read filtered clicks", err)
	}
	return figures, copies, nil
}

func filteredFiguresSQL(q ReportQuery) (string, []any) {
	where, args := q.where(false)
	return q.filteredSQL("PREWHERE " + where), args
}

// filteredWithoutCopiesSQL leaves out the copies: rows whose arrival id is that
// of a counted click of the same minute. Only the minutes and ads with a row
// that may be one are looked up in the clicks. GLOBAL: each shard is sent the
// answer instead of asking all the others.
func filteredWithoutCopiesSQL(q ReportQuery) (string, []any) {
	where, args := q.where(false)
	condition := fmt.Sprintf(`PREWHERE %s
WHERE NOT (is_arrival = 1 AND (minute, ad_id, id) GLOBAL IN
(
    SELECT minute, ad_id, arrival_id FROM clicks FINAL
    WHERE %s AND (minute, ad_id, arrival_id) GLOBAL IN
        (SELECT minute, ad_id, id FROM clicks_filtered WHERE %s AND is_arrival = 1)
))`, where, where, where)
	return q.filteredSQL(condition), slices.Concat(args, args, args)
}

func (q ReportQuery) filteredSQL(condition string) string {
	sums := make([]string, 0, len(click.Reasons()))
	for _, reason := range click.Reasons() {
		sums = append(sums, fmt.Sprintf("sumIf(count, reason = '%s')", reasonText(reason)))
	}
	return fmt.Sprintf(`SELECT %s AS series, toInt64(%s) AS start, max(is_arrival), %s
FROM clicks_filtered FINAL
%s
GROUP BY series, start
ORDER BY series, start
LIMIT %d`, q.series(), q.start(), strings.Join(sums, ", "), condition, q.RowsMax)
}
