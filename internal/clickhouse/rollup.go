package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

const (
	// rollupQueryTimeout is below the timeout of the activity that waits for it,
	// so that no query outlives its successor.
	rollupQueryTimeout = 10 * time.Minute
	rollupMemoryBytes  = 4 << 30
	rollupSpillBytes   = 1 << 30
	// rollupBlockRows is what is gathered before it is written: fewer parts to
	// fsync and merge, for some 200 MB of memory.
	rollupBlockRows = 4 << 20
)

// figureTable is where the figures of a level are. All have the same columns;
// minute is the first of the period.
func figureTable(level click.Level) string { return "clicks_per_" + string(level) }

// periodOf is the first minute of the period that a minute lies in.
func periodOf(level click.Level) string {
	switch level {
	case click.PerHour:
		return "toStartOfHour(minute)"
	case click.PerDay:
		return "toStartOfDay(minute)"
	case click.PerWeek:
		return "toDateTime(toMonday(minute), 'UTC')"
	case click.PerMonth:
		return "toDateTime(toStartOfMonth(minute), 'UTC')"
	case click.PerMinute:
		return "minute"
	default:
		return "minute"
	}
}

// inRollup is the periods of a span, at every level. It is a PREWHERE although
// FINAL follows: minute is in the key, so all versions of a row are in or out.
const inRollup = `PREWHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}`

// rollupSQL sums up one level into the next. Every row of the lower level gives
// one here, zeros too, so that what was there before is replaced.
func rollupSQL(step click.Rollup) string {
	return fmt.Sprintf(`INSERT INTO %[1]s (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, %[3]s AS period, sum(clicks), {version:UInt64}
FROM %[2]s FINAL
%[4]s
GROUP BY advertiser_id, ad_id, period`, figureTable(step.To), figureTable(step.From), periodOf(step.To), inRollup)
}

// rollupZerosSQL writes zeros over sums that this version does not have: all
// that still stand with an older one.
func rollupZerosSQL(step click.Rollup) string {
	return fmt.Sprintf(`INSERT INTO %[1]s (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, minute, toUInt64(0), {version:UInt64}
FROM %[1]s FINAL
%[2]s
WHERE version < {version:UInt64} AND clicks > 0`, figureTable(step.To), inRollup)
}

// rollupTallySQL sums what is stored of one level.
func rollupTallySQL(level click.Level) string {
	return fmt.Sprintf(`SELECT sumIf(clicks, ad_id != 0), sumIf(clicks, ad_id = 0), countIf(version = {version:UInt64})
FROM %s FINAL
%s`, figureTable(level), inRollup)
}

// RollUp writes the sums of a span. The same span and version again writes the
// same rows, unless minutes have changed meanwhile.
func (s *Store) RollUp(ctx context.Context, span click.RollupSpan) error {
	ctx = s.rollupContext(ctx, span)
	if err := s.conn.Exec(ctx, rollupSQL(span.Rollup)); err != nil {
		return readError("roll up figures", err)
	}
	if err := s.conn.Exec(ctx, rollupZerosSQL(span.Rollup)); err != nil {
		return readError("write zeros for vanished sums", err)
	}
	return nil
}

// VerifyRollup sums what stands now in a span, and what it was made of.
func (s *Store) VerifyRollup(ctx context.Context, span click.RollupSpan) (click.RollupTally, error) {
	ctx = s.rollupContext(ctx, span)
	var tally click.RollupTally
	err := s.conn.QueryRow(ctx, rollupTallySQL(span.To)).Scan(&tally.Ads, &tally.Totals, &tally.Rows)
	if err != nil {
		return tally, readError("sum what was rolled up", err)
	}
	var rows uint64
	err = s.conn.QueryRow(ctx, rollupTallySQL(span.From)).Scan(&tally.FromAds, &tally.FromTotals, &rows)
	if err != nil {
		return tally, readError("sum what is to be rolled up", err)
	}
	if span.From != click.PerMinute {
		return tally, nil
	}
	tally.KnowsSealed = true
	err = s.conn.QueryRow(ctx, `SELECT sum(clicks) FROM windows FINAL
		WHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}`).Scan(&tally.Sealed)
	if err != nil {
		return tally, readError("sum the clicks of seals", err)
	}
	return tally, nil
}

// rollupContext names the query after its span and lets it replace the one of
// an earlier attempt that may still run.
func (s *Store) rollupContext(ctx context.Context, span click.RollupSpan) context.Context {
	return ch.Context(ctx,
		ch.WithQueryID("rollup/"+s.database+"/"+string(span.To)+"/"+span.First.String()),
		ch.WithParameters(ch.Parameters{
			"from":    span.First.Start().Format(time.DateTime),
			"before":  span.Next.Start().Format(time.DateTime),
			"version": fmt.Sprint(span.Version),
		}),
		ch.WithSettings(ch.Settings{
			"replace_running_query":              1,
			"max_execution_time":                 int(rollupQueryTimeout.Seconds()),
			"max_memory_usage":                   rollupMemoryBytes,
			"max_bytes_before_external_group_by": rollupSpillBytes,
			// Rows come in the order of the key, which the sums are grouped by: each
			// is done when its last row came. Without it all are kept until the end,
			// and it takes twice as long.
			"optimize_aggregation_in_order": 1,
			"min_insert_block_size_rows":    rollupBlockRows,
			"min_insert_block_size_bytes":   rollupBlockRows * 64,
			"optimize_on_insert":            0, // as in lake.go: a row for each key
			// Each shard sums up and keeps its own advertisers.
			"parallel_distributed_insert_select":          2,
			"distributed_foreground_insert":               1,
			"do_not_merge_across_partitions_select_final": 1,
		}))
}
