package clickhouse

import (
	"context"
	"maps"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// What counts in a span, by the lake: of each impression the click with the
// lowest offset, wherever it lies, and that one only if it lies in the span.

// winnerColumns are what is told of a click, beside its impression and offset.
// Others than candidates are never in the span: of them only the place in the
// stream matters, and the minute is the zero one.
var winnerColumns = []struct{ name, of, nowhere string }{
	{"minute", "toStartOfMinute(clicked_at)", "toDateTime(0, 'UTC')"},
	{"advertiser_id", "advertiser_id", "toInt64(0)"},
	{"ad_id", "ad_id", "toInt64(0)"},
	{"clicked_at", "clicked_at", "toDateTime64(0, 3, 'UTC')"},
	{"arrival_id", "arrival_id", "toUUID('00000000-0000-0000-0000-000000000000')"},
	{"partition", "partition", "partition"},
}

// placeColumns is how many of them say where a click counts.
const placeColumns = 3

// Nearly all impressions were clicked once, and nothing need be kept of these
// while the lake is read: their click counts if it lies in the span. So first
// the repeated ones are found, by their ids alone, and then only their clicks
// are put beside each other.

// isRepeated tells of bytes whether they are a repeated impression: as a number,
// which is found sooner.
const isRepeated = `reinterpretAsUInt128(impression_id) IN (SELECT reinterpretAsUInt128(impression_id) FROM repeated)`

// findRepeated notes the impressions of candidates that have more than one
// click, and what else is read has of them: of that the impressions that are no
// candidates' are never looked at, and their row groups hardly read. What is
// stored of holes was in the stream before what the lake has behind it, so it
// takes part too.
func (l *lakeSession) findRepeated(ctx context.Context, parts []slice) error {
	for _, s := range parts {
		candidates, others := l.plan.Holding(l.plan.Candidates, s.issued), l.plan.Holding(l.plan.Others, s.issued)
		if len(candidates) == 0 {
			continue
		}
		parameters := s.parameters()
		parameters["lake"] = l.access.list(candidates)
		where := " WHERE " + inSlice + l.beyondArchive()
		from := "SELECT impression_id FROM " + l.access.table("lake") + where
		if len(others) > 0 {
			l.progress("looks for impressions that were clicked in other hours too, " + s.name)
			parameters["others"] = l.access.list(others)
			err := l.exec(ctx, "look for impressions in other hours", `INSERT INTO outside SELECT impression_id, partition, offset, toUnixTimestamp64Milli(appended_at)
				FROM `+l.access.table("others")+where+" AND impression_id IN ("+from+")", parameters)
			if err != nil {
				return err
			}
		}
		l.progress("looks for impressions that were clicked again, " + s.name)
		// As a number the key is smaller than as bytes.
		err := l.exec(ctx, "look for repeated impressions", `INSERT INTO repeated SELECT reinterpret(id, 'FixedString(16)')
			FROM (`+from+" UNION ALL SELECT impression_id FROM outside WHERE "+inSlice+`)
			GROUP BY reinterpretAsUInt128(impression_id) AS id HAVING count() > 1`, parameters)
		if err != nil {
			return err
		}
	}
	return l.scan(ctx, "count repeated impressions", "SELECT toInt64(count()) FROM repeated", &l.repeated)
}

// winners are the subqueries of the clicks that count in the span, to be read
// one after the other: of impressions that were clicked once, and of repeated
// ones, in parts if there are many.
func (l *lakeSession) winners(parts []slice, whole bool) []winnersQuery {
	queries := []winnersQuery{l.singles(l.all(), whole, "")}
	if l.repeated <= l.sliceClicks {
		return append(queries, l.repeats(l.all(), whole, ""))
	}
	for _, s := range parts {
		queries = append(queries, l.repeats(s, whole, ""))
	}
	return queries
}

// winnersQuery is a subquery with its parameters, and what it reads in words.
type winnersQuery struct {
	sql        string
	parameters ch.Parameters
	name       string
}

// and is both subqueries as one; both are of the same slice.
func (q winnersQuery) and(other winnersQuery) winnersQuery {
	maps.Copy(q.parameters, other.parameters)
	return winnersQuery{q.sql + "\nUNION ALL\n" + other.sql, q.parameters, q.name}
}

// singles are the clicks in the span of a slice's impressions that were clicked
// once: where they count, or in whole. Only leaves out what is not asked for.
func (l *lakeSession) singles(s slice, whole bool, only string) winnersQuery {
	lake, parameters := l.candidates(s)
	var of strings.Builder
	for _, c := range columnsOfWinners(whole) {
		of.WriteString(", " + c.of + " AS w_" + c.name)
	}
	return winnersQuery{"SELECT impression_id" + of.String() + ", offset AS w_offset FROM " + lake + " WHERE " + inSlice + l.beyondArchive() + only + `
		AND clicked_at >= {from:DateTime('UTC')} AND clicked_at < {to:DateTime('UTC')}
		AND NOT ` + isRepeated, parameters, "clicked once"}
}

// repeats are the clicks in the span of a slice's repeated impressions that are
// the first of theirs.
func (l *lakeSession) repeats(s slice, whole bool, only string) winnersQuery {
	lake, parameters := l.candidates(s)
	columns := columnsOfWinners(whole)
	where := " WHERE " + inSlice + l.beyondArchive() + only + " AND " + isRepeated
	var of, nowhere strings.Builder
	for _, c := range columns {
		of.WriteString(", " + c.of + " AS c_" + c.name)
		nowhere.WriteString(", " + c.nowhere + " AS c_" + c.name)
	}
	const place = ", partition AS in_partition, offset"
	from := "SELECT impression_id" + of.String() + place + l.appended("toUnixTimestamp64Milli(appended_at)") + " FROM " + lake + where
	from += "\nUNION ALL SELECT impression_id" + nowhere.String() + place + l.appended("appended") + " FROM outside WHERE " + inSlice
	return winnersQuery{l.group(columnNames(columns), from), parameters, "repeated, " + s.name}
}

// candidates are the objects that may hold clicks of a slice, as a table.
func (l *lakeSession) candidates(s slice) (string, ch.Parameters) {
	parameters, pieces := s.parameters(), l.plan.Holding(l.plan.Candidates, s.issued)
	if len(pieces) == 0 {
		return noObjects, parameters
	}
	parameters["lake"] = l.access.list(pieces)
	return l.access.table("lake"), parameters
}

func columnsOfWinners(whole bool) []struct{ name, of, nowhere string } {
	if whole {
		return winnerColumns
	}
	return winnerColumns[:placeColumns]
}

// beyondArchive leaves out what is archived but not judged: it may not be
// stored yet.
func (l *lakeSession) beyondArchive() string {
	for _, piece := range append(l.plan.Candidates[:len(l.plan.Candidates):len(l.plan.Candidates)], l.plan.Others...) {
		if p := int(piece.Partition); p < 0 || p >= len(l.snapshot.Archived) || piece.Next > l.snapshot.Archived[p] {
			return " AND " + archivedOffset
		}
	}
	return ""
}

// appended is a column that only a changed number of partitions asks for.
func (l *lakeSession) appended(expression string) string {
	if !l.plan.Raised {
		return ""
	}
	return ", " + expression + " AS appended_ms"
}

func columnNames(columns []struct{ name, of, nowhere string }) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// group leaves of each impression the first click. Offsets of two partitions do
// not compare: if the number of partitions changed, the first of each partition
// is looked for, and of these the one that was appended first.
func (l *lakeSession) group(names []string, from string) string {
	by := func(names []string, order string, rest ...string) string {
		parts := []string{"impression_id"}
		for _, name := range names {
			parts = append(parts, "argMin(c_"+name+", "+order+") AS w_"+name)
		}
		return strings.Join(append(parts, rest...), ", ")
	}
	const inSpan = " HAVING w_minute >= {from:DateTime('UTC')} AND w_minute < {to:DateTime('UTC')}"
	if !l.plan.Raised {
		return "SELECT " + by(names, "offset", "min(offset) AS w_offset") + " FROM (" + from + ") GROUP BY impression_id" + inSpan
	}
	inner := "SELECT " + strings.ReplaceAll(by(names, "offset", "in_partition", "argMin(appended_ms, offset) AS first_appended", "min(offset) AS first_offset"), " AS w_", " AS v_") +
		" FROM (" + from + ") GROUP BY impression_id, in_partition"
	outer := strings.ReplaceAll(by(names, "(first_appended, in_partition)", "argMin(first_offset, (first_appended, in_partition)) AS w_offset"), "argMin(c_", "argMin(v_")
	return "SELECT " + outer + " FROM (" + inner + ") GROUP BY impression_id" + inSpan
}
