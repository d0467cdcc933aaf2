package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

const (
	// flushQueryTimeout is below the timeout of the activity that waits for it,
	// so that no query outlives its successor.
	flushQueryTimeout = 60 * time.Second
	flushMemoryBytes  = 4 << 30
	// flushQueryPriority goes before what reads hours: see lakeQueryPriority.
	flushQueryPriority = 1
	flushSpillBytes    = 1 << 30
)

// inMinutes is the minutes a flush makes final: one, or many at once. Of figures
// it is a PREWHERE although FINAL follows: minute is in the key, so all versions
// of a row are in or out. The key does not lead to a minute; so its column alone
// is read of the day, and the others where it is.
const inMinutes = `minute IN {minutes:Array(DateTime('UTC'))}`

// inSnapshot is the clicks a flush reads, the same for each of its queries. An
// array's element beyond its end is 0: a partition that was not checked is
// left out. The offset is no key, so it is tested after FINAL chose the row.
const inSnapshot = inMinutes + ` AND offset < {checked:Array(Int64)}[partition + 1]`

// figures are the counts of a snapshot: of each minute one row per ad, and one per advertiser
// whose ad_id is 0, because a column that is not grouped by reads as its zero.
// FINAL leaves each impression of an ad once. Columns are named, not numbered:
// positions in GROUP BY fail on the far side of a Distributed table.
const figures = `FROM clicks FINAL WHERE ` + inSnapshot + eachFigure

const eachFigure = `
GROUP BY GROUPING SETS ((minute, advertiser_id, ad_id), (minute, advertiser_id))`

// restateQuery compares all figures of a minute with what they are about to
// become, both ways, and keeps those that differ. What this version wrote
// already (an attempt that died half way) is what it becomes: no difference.
//
// A flush that died after this query announced changes of figures that still
// stand as they were. If such a change is gone by now, the row is written anew
// with before = after, which replaces the announcement and says: no change.
const restateQuery = restateBefore + "count()" + restateOf + figures + restateAfter

// The query in pieces: how clicks are counted and where they are goes between.
const (
	restateBefore = `
INSERT INTO restatements (advertiser_id, ad_id, minute, replaced_version, at, before, after, reason)
SELECT advertiser_id, ad_id, minute, max(replaced) AS replaced_version,
       fromUnixTimestamp64Micro({version:Int64}, 'UTC'), sum(was) AS before, sum(becomes) AS after, {reason:String}
FROM
(
    SELECT advertiser_id, ad_id, minute, toUInt64(0) AS replaced, toUInt64(0) AS was, toUInt64(`
	restateOf = `) AS becomes,
           CAST([], 'Array(UInt64)') AS announced
    `
	restateAfter = `
    UNION ALL
    SELECT advertiser_id, ad_id, minute, version AS replaced, clicks AS was, toUInt64(0) AS becomes,
           CAST([], 'Array(UInt64)') AS announced
    FROM clicks_per_minute FINAL
    PREWHERE ` + inMinutes + `
    UNION ALL
    SELECT advertiser_id, ad_id, minute, toUInt64(0) AS replaced, toUInt64(0) AS was, toUInt64(0) AS becomes,
           [replaced_version] AS announced
    FROM restatements FINAL
    PREWHERE ` + inMinutes + `
    WHERE before != after
)
GROUP BY advertiser_id, ad_id, minute
HAVING (before != after OR has(groupArrayArray(announced), replaced_version)) AND replaced_version < {version:UInt64}`
)

const figuresQuery = figuresBefore + "count()" + figuresOf + figures

const (
	figuresBefore = `
INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, minute, toUInt64(`
	figuresOf = `), {version:UInt64}
`
)

// vanishedQuery writes zeros over figures that this version no longer has: all
// that still stand with an older one.
const vanishedQuery = `
INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, minute, toUInt64(0), {version:UInt64}
FROM clicks_per_minute FINAL
PREWHERE ` + inMinutes + `
WHERE version < {version:UInt64} AND clicks > 0`

// AggregateWindow writes the figures of a snapshot and returns how many that
// had been final it changed; only those of a window that was final before are
// restated. The order is what a crash between two steps relies on: the
// restatements first, so that they hold the figures as they were. Reports rely
// on it too: without a restatement that names its version, no figure of a sealed
// minute differs from what was rolled up (see planRead).
//
// The same snapshot again rewrites the same rows.
func (s *Store) AggregateWindow(ctx context.Context, snapshot click.Snapshot, wasFinal bool, reason click.FlushReason) (restated uint64, err error) {
	found, err := s.hasClicks(ctx, snapshot.Window)
	if err != nil || !found {
		return 0, err
	}
	return s.writeFigures(s.flushContext(ctx, snapshot, reason), wasFinal)
}

// writeFigures runs a flush's queries. Its order is what AggregateWindow says.
func (s *Store) writeFigures(ctx context.Context, wasFinal bool) (restated uint64, err error) {
	if wasFinal {
		if err := s.conn.Exec(ctx, restateQuery); err != nil {
			return 0, readError("write restatements", err)
		}
	}
	if err := s.conn.Exec(ctx, figuresQuery); err != nil {
		return 0, readError("write minute figures", err)
	}
	if err := s.conn.Exec(ctx, vanishedQuery); err != nil {
		return 0, readError("write zeros for vanished figures", err)
	}
	if !wasFinal {
		return 0, nil
	}
	err = s.conn.QueryRow(ctx, `SELECT count() FROM restatements FINAL
		PREWHERE `+inMinutes+`
		WHERE at = fromUnixTimestamp64Micro({version:Int64}, 'UTC') AND before != after`).Scan(&restated)
	if err != nil {
		return 0, readError("count restatements", err)
	}
	return restated, nil
}

// VerifyWindow counts what AggregateWindow wrote for a snapshot, and the
// snapshot itself once more by its impressions.
func (s *Store) VerifyWindow(ctx context.Context, snapshot click.Snapshot) (click.Tally, error) {
	var tally click.Tally
	found, err := s.hasClicks(ctx, snapshot.Window)
	if err != nil || !found {
		return tally, err
	}
	ctx = s.flushContext(ctx, snapshot, "")
	err = s.conn.QueryRow(ctx, `SELECT sumIf(clicks, ad_id != 0), sumIf(clicks, ad_id = 0), count()
		FROM clicks_per_minute FINAL
		PREWHERE `+inMinutes+` WHERE version = {version:UInt64}`).Scan(&tally.Ads, &tally.Totals, &tally.Rows)
	if err != nil {
		return tally, readError("sum minute figures", err)
	}
	err = s.conn.QueryRow(ctx, "SELECT uniqExact(impression_id) FROM clicks FINAL WHERE "+inSnapshot).Scan(&tally.Distinct)
	if err != nil {
		return tally, readError("count impressions", err)
	}
	return tally, nil
}

// hasClicks reports whether anything is stored for w: an idle minute costs one
// look by primary key and no more. It looks at the clicks themselves:
// clicks_progress is filled beside them, not atomically with them.
func (s *Store) hasClicks(ctx context.Context, w click.Window) (bool, error) {
	var found uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM (SELECT 1 FROM clicks WHERE minute = ? LIMIT 1)", w.Start()).Scan(&found)
	if err != nil {
		return false, readError("look for clicks of a window", err)
	}
	return found > 0, nil
}

// flushContext names the query after its window and lets it replace the one of
// an earlier attempt that may still run: at most one flush query of a window
// runs at a time.
func (s *Store) flushContext(ctx context.Context, snapshot click.Snapshot, reason click.FlushReason) context.Context {
	return s.flushing(ctx, snapshot.Window.String(), flushQueryTimeout, snapshotParameters(snapshot.Span()), reason, nil)
}

// flushing is the context of a flush's queries.
func (s *Store) flushing(ctx context.Context, name string, timeout time.Duration, parameters ch.Parameters, reason click.FlushReason, more ch.Settings) context.Context {
	parameters["reason"] = string(reason)
	settings := ch.Settings{
		"replace_running_query":              1,
		"priority":                           flushQueryPriority,
		"max_execution_time":                 int(timeout.Seconds()),
		"max_memory_usage":                   flushMemoryBytes,
		"max_bytes_before_external_group_by": flushSpillBytes,
		"optimize_on_insert":                 0, // as in lake.go: a row for each key
		// Each shard aggregates and keeps its own advertisers.
		"parallel_distributed_insert_select":          2,
		"distributed_foreground_insert":               1,
		"do_not_merge_across_partitions_select_final": 1,
	}
	maps.Copy(settings, more)
	return ch.Context(ctx, ch.WithQueryID("flush/"+s.database+"/"+name), ch.WithParameters(parameters), ch.WithSettings(settings))
}

func snapshotParameters(snapshot click.SpanSnapshot) ch.Parameters {
	return ch.Parameters{
		"minutes": minutesText(snapshot.Minutes),
		"checked": offsetsText(snapshot.Checked),
		"version": fmt.Sprint(snapshot.Version),
	}
}

func minutesText(minutes []click.Window) string {
	texts := make([]string, len(minutes))
	for i, w := range minutes {
		texts[i] = "'" + minuteText(w) + "'"
	}
	return "[" + strings.Join(texts, ",") + "]"
}

func offsetsText(offsets click.Offsets) string {
	texts := make([]string, len(offsets))
	for i, offset := range offsets {
		texts[i] = fmt.Sprint(offset)
	}
	return "[" + strings.Join(texts, ",") + "]"
}
