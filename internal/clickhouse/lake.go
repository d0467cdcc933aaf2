package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	// lakeQueryTimeout is below the timeout of the activities that read the lake,
	// so that no query outlives its successor.
	lakeQueryTimeout = 10 * time.Minute
	// What a query on the lake may hold, and from where on it spills to disk.
	lakeMemoryBytes = 3_800_000_000
	lakeSpillBytes  = 1_500_000_000
	// lakeThreads: reading the lake is long, and nobody waits for it.
	lakeThreads = 2
	// lakeBlockRows: a part for each million rows costs more in syncs and merges.
	lakeBlockRows = 2 << 20
	// lakeQueryPriority: what has a lower number goes first.
	lakeQueryPriority = 5

	issueSkew = time.Minute // as in click: an impression may seem to be issued that much later than its click
)

// lakeStructure is what a reader is told of a file. The impression is bytes
// here: as a UUID it is ordered otherwise than the files' statistics are, and
// row groups would be passed over wrongly.
const lakeStructure = `impression_id FixedString(16), clicked_at DateTime64(3, \'UTC\'), appended_at DateTime64(3, \'UTC\'),` +
	` ad_id Int64, advertiser_id Int64, arrival_id UUID, partition Int32, offset Int64`

// lakeAccess is where the lake is and how it is opened.
type lakeAccess struct{ url, key, secret string }

func newLakeAccess(c config.Config) lakeAccess {
	scheme := "http"
	if c.S3TLS {
		scheme = "https"
	}
	return lakeAccess{fmt.Sprintf("%s://%s/%s/", scheme, c.S3Endpoint, c.Bucket()), c.S3AccessKey, c.S3SecretKey}
}

// table is what a query reads some objects of the lake as; it names them by the
// parameter, which is made by list. The keys are parameters too, so that no
// query's text has them; the server hides the secret in its logs and errors.
// Beyond one machine it becomes s3Cluster, here.
func (lakeAccess) table(parameter string) string {
	return `s3({` + parameter + `:String}, {lake_key:String}, {lake_secret:String}, 'Parquet', '` + lakeStructure + `')`
}

// noObjects is a table of the lake without a row.
const noObjects = `null('` + lakeStructure + `')`

// list names objects: with one pair of braces and nothing else to expand, they
// are asked for by their names and the bucket is not listed.
func (a lakeAccess) list(pieces []click.LakePiece) string {
	paths := make([]string, len(pieces))
	for i, piece := range pieces {
		paths[i] = piece.Path
	}
	if len(paths) == 1 {
		return a.url + paths[0]
	}
	return a.url + "{" + strings.Join(paths, ",") + "}"
}

// lakeSession is one reconciliation's look at the lake, on a connection of its
// own: what it finds is in temporary tables, which are gone with it.
type lakeSession struct {
	conn     session
	access   lakeAccess
	database string
	snapshot click.LakeSnapshot
	plan     click.LakePlan
	progress func(string)
	// sliceClicks is how many clicks are grouped at a time.
	sliceClicks int64
	repeated    int64 // impressions that were clicked more than once
	seals       spanSeals
	// empty says that nothing of the span is stored and the lake has much:
	// everything is missing, and no click need be looked for.
	empty bool
}

// lakeSession opens a session and its tables.
func (s *Store) lakeSession(ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, progress func(string)) (*lakeSession, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	session := &lakeSession{conn: conn, access: s.lake, database: s.database, snapshot: snapshot, plan: plan, progress: progress, sliceClicks: s.sliceClicks}
	for _, table := range lakeTables {
		if err = session.exec(ctx, "make a table", table, nil); err != nil {
			conn.close()
			return nil, err
		}
	}
	return session, nil
}

func (l *lakeSession) close() { l.conn.close() }

// context is that of one query of the session: it takes the place of what an
// earlier attempt may still run.
func (l *lakeSession) context(ctx context.Context, parameters ch.Parameters) context.Context {
	all := ch.Parameters{
		"from": minuteText(l.plan.From), "to": minuteText(l.plan.To),
		"version":     fmt.Sprint(l.snapshot.Version),
		"archived":    offsetsText(l.snapshot.Archived),
		"lake_key":    l.access.key,
		"lake_secret": l.access.secret,
	}
	l.holeParameters(all)
	maps.Copy(all, parameters)
	return ch.Context(ctx,
		ch.WithQueryID("reconcile/"+l.database+"/"+l.plan.From.String()),
		ch.WithParameters(all),
		ch.WithSettings(ch.Settings{
			"replace_running_query":              1,
			"max_execution_time":                 int(lakeQueryTimeout.Seconds()),
			"max_memory_usage":                   lakeMemoryBytes,
			"max_bytes_before_external_group_by": lakeSpillBytes,
			"max_bytes_before_external_sort":     lakeSpillBytes,
			"max_threads":                        lakeThreads,
			"max_insert_threads":                 lakeThreads,
			"min_insert_block_size_rows":         lakeBlockRows,
			// No two rows of an insert are of one key, and all is read FINAL: merging
			// each block before it is written finds nothing and takes half of the insert.
			"optimize_on_insert":                          0,
			"priority":                                    lakeQueryPriority,
			"distributed_foreground_insert":               1,
			"do_not_merge_across_partitions_select_final": 1,
		}))
}

func (l *lakeSession) exec(ctx context.Context, what, query string, parameters ch.Parameters) error {
	if _, err := l.conn.ExecContext(l.context(ctx, parameters), query); err != nil {
		return readError(what, err)
	}
	return nil
}

// scan reads the one row of a query.
func (l *lakeSession) scan(ctx context.Context, what, query string, into ...any) error {
	return l.scanWith(ctx, what, query, nil, into...)
}

func (l *lakeSession) scanWith(ctx context.Context, what, query string, parameters ch.Parameters, into ...any) error {
	if err := l.conn.QueryRowContext(l.context(ctx, parameters), query).Scan(into...); err != nil {
		return readError(what, err)
	}
	return nil
}

// holeParameters are the holes as three arrays.
func (l *lakeSession) holeParameters(parameters ch.Parameters) {
	partitions, firsts, nexts := make([]string, 0), make([]string, 0), make([]string, 0)
	for _, hole := range l.plan.Holes {
		partitions = append(partitions, fmt.Sprint(hole.Partition))
		firsts, nexts = append(firsts, fmt.Sprint(hole.First)), append(nexts, fmt.Sprint(hole.Next))
	}
	parameters["hole_partitions"] = "[" + strings.Join(partitions, ",") + "]"
	parameters["hole_firsts"] = "[" + strings.Join(firsts, ",") + "]"
	parameters["hole_nexts"] = "[" + strings.Join(nexts, ",") + "]"
}

// inHole tells of a stored row whether its offset lies in a hole of the lake.
func (l *lakeSession) inHole() string {
	if len(l.plan.Holes) == 0 {
		return "false"
	}
	return `arrayExists((p, first, next) -> p = partition AND offset >= first AND offset < next,
		{hole_partitions:Array(Int32)}, {hole_firsts:Array(Int64)}, {hole_nexts:Array(Int64)})`
}

// archivedOffset: an array's element beyond its end is 0, so a partition that
// is not archived is not judged.
const archivedOffset = `offset < {archived:Array(Int64)}[partition + 1]`

// judged tells of a stored row whether the lake must have it if it counts.
func (l *lakeSession) judged() string {
	return "(" + archivedOffset + " AND NOT " + l.inHole() + ")"
}

// slice is impressions by their ids, both ends included: files are sorted by
// id, so a slice reads some row groups of each.
type slice struct {
	first, last string // hexadecimal
	issued      click.Issued
	name        string
}

// sliceOf is the impressions issued in [from, next); a zero time is no bound.
func (l *lakeSession) sliceOf(from, next time.Time) slice {
	s := slice{first: strings.Repeat("0", 32), last: strings.Repeat("f", 32), issued: click.Issued{
		From: l.plan.From.Start().Add(-l.plan.Validity - issueSkew), Next: l.plan.To.Start().Add(issueSkew),
	}}
	if !from.IsZero() {
		s.first, s.issued.From = hexOf(from), from
	}
	if !next.IsZero() {
		s.last, s.issued.Next = fmt.Sprintf("%012x", next.UnixMilli()-1)+strings.Repeat("f", 20), next
	}
	return s
}

// hexOf is the lowest id issued at a time.
func hexOf(at time.Time) string {
	return fmt.Sprintf("%012x", at.UnixMilli()) + strings.Repeat("0", 20)
}

// all are all impressions there can be.
func (l *lakeSession) all() slice { return l.sliceOf(time.Time{}, time.Time{}) }

// inSlice tells of bytes whether they are an impression of the slice.
const inSlice = `impression_id >= toFixedString(unhex({first:String}), 16) AND impression_id <= toFixedString(unhex({last:String}), 16)`

func (s slice) parameters() ch.Parameters { return ch.Parameters{"first": s.first, "last": s.last} }

// issuedQuery counts the lake's rows by the minute in which their impression
// was issued: its first 48 bits are milliseconds.
const issuedQuery = `SELECT toUInt64(intDiv(bitShiftRight(byteSwap(reinterpretAsUInt64(impression_id)), 16), 60000)) AS issued, count() AS clicks
FROM %s GROUP BY issued ORDER BY issued`

// slices cuts the impressions into slices of some sliceClicks clicks; a minute
// in which more were issued is not cut. Those issued before the span, as clocks
// go, are apart: only they may have been clicked before it.
func (l *lakeSession) slices(ctx context.Context) ([]slice, error) {
	rows := int64(0)
	for _, piece := range l.plan.Candidates {
		rows += piece.Rows
	}
	if rows <= l.sliceClicks {
		return l.named([]slice{l.all()}), nil
	}
	l.progress("looks when the impressions were issued")
	found, err := l.conn.QueryContext(l.context(ctx, ch.Parameters{"lake": l.access.list(l.plan.Candidates)}),
		fmt.Sprintf(issuedQuery, l.access.table("lake")))
	if err != nil {
		return nil, readError("count impressions by issue", err)
	}
	defer func() { _ = found.Close() }()
	var slices []slice
	var begin time.Time
	held, start := int64(0), uint64(l.plan.From.Start().Add(issueSkew).Unix()/60)
	for last := uint64(0); found.Next(); {
		var minute, clicks uint64
		if err := found.Scan(&minute, &clicks); err != nil {
			return nil, readError("count impressions by issue", err)
		}
		minute = min(minute, math.MaxUint32) // no time of ours; all of them are one
		if cut := time.Unix(int64(minute)*60, 0).UTC(); held > 0 && (held+int64(clicks) > l.sliceClicks || last < start && minute >= start) && minute > last {
			slices, begin, held = append(slices, l.sliceOf(begin, cut)), cut, 0
		}
		held, last = held+int64(clicks), minute
	}
	if err := found.Err(); err != nil {
		return nil, readError("count impressions by issue", err)
	}
	return l.named(append(slices, l.sliceOf(begin, time.Time{}))), nil
}

func (l *lakeSession) named(slices []slice) []slice {
	for i := range slices {
		slices[i].name = fmt.Sprintf("part %d of %d", i+1, len(slices))
	}
	return slices
}
