package clickhouse

import (
	"context"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// stagedFigures are the figures of the staging table, as figures are those of
// the stored clicks.
const stagedFigures = "FROM staged WHERE " + inMinutes + eachFigure

// RebuildFigures makes the figures of a span what the lake counts, by way of a
// staging table, for spans whose clicks are not stored any more. The order is
// that of AggregateWindow: restatements of the minutes that were final, figures,
// zeros. It returns the tally of each minute; the minutes are to be sealed then.
//
// The snapshot's version is later than what it reads, so a run that has read
// less of the lake loses.
func (s *Store) RebuildFigures(
	ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, reason click.FlushReason, progress func(string),
) (tallies map[click.Window]click.Tally, restated uint64, err error) {
	l, err := s.lakeSession(ctx, snapshot, plan, progress)
	if err != nil {
		return nil, 0, err
	}
	defer l.close()
	if err := l.stage(ctx); err != nil {
		return nil, 0, err
	}
	span := snapshot.Span()
	final, renewed, start, err := s.finalMinutes(ctx, span.Minutes, reason)
	if err != nil {
		return nil, 0, err
	}
	if err := s.takeBack(ctx, span, renewed, start, reason); err != nil {
		return nil, 0, err
	}
	progress("writes the figures")
	parameters := ch.Parameters{"minutes": minutesText(span.Minutes), "reason": string(reason)}
	if len(final) > 0 {
		of := ch.Parameters{"minutes": minutesText(final), "reason": string(reason)}
		if err := l.exec(ctx, "write restatements", restateBefore+"sum(clicks)"+restateOf+stagedFigures+restateAfter, of); err != nil {
			return nil, 0, err
		}
	}
	if err := l.exec(ctx, "write minute figures", figuresBefore+"sum(clicks)"+figuresOf+stagedFigures, parameters); err != nil {
		return nil, 0, err
	}
	if err := l.exec(ctx, "write zeros for vanished figures", vanishedQuery, parameters); err != nil {
		return nil, 0, err
	}
	err = l.scanWith(ctx, "count restatements", `SELECT count() FROM restatements FINAL WHERE `+inMinutes+`
		AND at = fromUnixTimestamp64Micro({version:Int64}, 'UTC') AND before != after`, parameters, &restated)
	if err != nil {
		return nil, 0, err
	}
	tallies, err = l.tallies(ctx, parameters)
	return tallies, restated, err
}

// stage counts the lake and makes the staging table: what each ad's figures are
// to be.
func (l *lakeSession) stage(ctx context.Context) error {
	if err := l.count(ctx); err != nil {
		return err
	}
	if _, err := l.countFigures(ctx); err != nil {
		return err
	}
	return l.exec(ctx, "stage the figures", `CREATE TEMPORARY TABLE staged ENGINE = MergeTree ORDER BY `+place+` AS
		SELECT minute, advertiser_id, ad_id, `+l.fromLake("sum(in_lake)", "sum(told)")+` AS clicks
		FROM (SELECT minute, advertiser_id, ad_id, lake AS in_lake, figure AS told FROM places WHERE ad_id != 0)
		GROUP BY minute, advertiser_id, ad_id HAVING clicks > 0`, nil)
}

// count fills the places with what the lake counts, and nothing else.
func (l *lakeSession) count(ctx context.Context) error {
	parts, err := l.slices(ctx)
	if err != nil {
		return err
	}
	if err := l.findRepeated(ctx, parts); err != nil {
		return err
	}
	return l.countLake(ctx, parts)
}

// fromLake is a figure by the lake alone. What the lake has lost was counted
// when it came: such a lake raises a figure and never lowers it.
func (l *lakeSession) fromLake(lake, figure string) string {
	if len(l.plan.Holes) == 0 {
		return lake
	}
	return "greatest(" + lake + ", " + figure + ")"
}

// tallies count what was written, and what was staged once more.
func (l *lakeSession) tallies(ctx context.Context, parameters ch.Parameters) (map[click.Window]click.Tally, error) {
	l.progress("counts once more what was written")
	rows, err := l.conn.QueryContext(l.context(ctx, parameters), `SELECT minute, sum(in_ads), sum(in_totals), sum(figures), sum(counted)
		FROM
		(
			SELECT minute, sumIf(clicks, ad_id != 0) AS in_ads, sumIf(clicks, ad_id = 0) AS in_totals, count() AS figures, toUInt64(0) AS counted
			FROM clicks_per_minute FINAL PREWHERE `+inMinutes+` WHERE version = {version:UInt64} GROUP BY minute
			UNION ALL
			SELECT minute, 0, 0, 0, sum(clicks) FROM staged GROUP BY minute
		)
		GROUP BY minute`)
	if err != nil {
		return nil, readError("count what was written", err)
	}
	defer func() { _ = rows.Close() }()
	tallies := map[click.Window]click.Tally{}
	for rows.Next() {
		var minute time.Time
		var tally click.Tally
		if err := rows.Scan(&minute, &tally.Ads, &tally.Totals, &tally.Rows, &tally.Distinct); err != nil {
			return nil, readError("count what was written", err)
		}
		tallies[click.WindowOf(minute)] = tally
	}
	if err := rows.Err(); err != nil {
		return nil, readError("count what was written", err)
	}
	return tallies, nil
}
