package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

const clickColumns = `minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset, version, is_deleted`

// RepairClicks makes the stored clicks of a span those that the lake counts: it
// inserts what is missing with the snapshot's version, and writes tombstones
// over what is too much. What came in first goes in first, so a crash between
// the two leaves at worst a click too much until the next attempt. The same
// snapshot again changes nothing.
//
// A click that the ingester inserts once more (a redelivery) has version 0: it
// neither doubles what was inserted here nor brings back what was deleted.
func (s *Store) RepairClicks(
	ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, progress func(string),
) (inserted, deleted uint64, err error) {
	l, err := s.lakeSession(ctx, snapshot, plan, progress)
	if err != nil {
		return 0, 0, err
	}
	defer l.close()
	if err := l.diff(ctx); err != nil {
		return 0, 0, err
	}
	if l.empty {
		if err := l.exec(ctx, "begin anew", "TRUNCATE TABLE repeated", nil); err != nil {
			return 0, 0, err
		}
		brought, err := l.bringBack(ctx)
		return brought.Missing, 0, err
	}
	inserted, _, deleted, err = l.countDiffs(ctx)
	if err != nil {
		return 0, 0, err
	}
	if inserted > 0 {
		l.progress("inserts what is missing")
		err := l.exec(ctx, "insert missing clicks", `INSERT INTO clicks (`+clickColumns+`)
			SELECT minute, advertiser_id, ad_id, `+impressionUUID+`, clicked_at, arrival_id, partition, offset, {version:UInt64}, 0
			FROM diffs WHERE `+toInsert, nil)
		if err != nil {
			return 0, 0, err
		}
	}
	if deleted > 0 {
		l.progress("deletes what is too much")
		err := l.exec(ctx, "delete surplus clicks", `INSERT INTO clicks (`+clickColumns+`)
			SELECT minute, advertiser_id, ad_id, `+impressionUUID+`, clicked_at, arrival_id, partition, offset, greatest({version:UInt64}, version + 1), 1
			FROM diffs WHERE missing = 0`, nil)
		if err != nil {
			return inserted, 0, err
		}
	}
	return inserted, deleted, nil
}

// BringBack inserts all that the lake counts in a span, but for what is stored by
// a click that is not judged, and returns what a comparison would have found. It
// is for a span of which nothing is stored: what is there already is only
// written once more, so the same snapshot again changes nothing. With a run,
// what was missing is recorded under it as by CompareLake's first pass.
func (s *Store) BringBack(
	ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, run string, progress func(string),
) (click.Comparison, error) {
	l, err := s.lakeSession(ctx, snapshot, plan, progress)
	if err != nil {
		return click.Comparison{}, err
	}
	defer l.close()
	if err := l.noteHoles(ctx); err != nil {
		return click.Comparison{}, err
	}
	brought, err := l.bringBack(ctx)
	if err != nil || run == "" {
		return brought, err
	}
	return brought, l.exec(ctx, "record what was missing", `INSERT INTO discrepancies (minute, advertiser_id, ad_id, run, pass, lake, store, figure, missing, surplus, missing_samples, surplus_samples)
		SELECT minute, advertiser_id, ad_id, {run:String}, 1, lacked, 0, 0, lacked, 0, arraySort(samples), []
		FROM brought ORDER BY lacked DESC, minute, advertiser_id, ad_id LIMIT `+fmt.Sprint(discrepanciesMax), ch.Parameters{"run": run})
}

func (l *lakeSession) bringBack(ctx context.Context) (click.Comparison, error) {
	from, to := l.reach()
	l.progress("looks for clicks that are not judged")
	err := l.exec(ctx, "look for clicks that are not judged", `INSERT INTO elsewhere SELECT DISTINCT UUIDToNum(impression_id), 0 FROM clicks FINAL
		WHERE minute GLOBAL IN (`+unjudgedMinutes+`) AND NOT `+l.judged()+` AND `+mayBeClicked, ch.Parameters{
		"reach_from": minuteText(from), "reach_to": minuteText(to), "lowest": offsetsText(l.lowestUnjudged()),
		"issued_next": hexOf(l.plan.To.Start().Add(issueSkew)),
	})
	if err != nil {
		return click.Comparison{}, err
	}
	parts, err := l.slices(ctx)
	if err != nil {
		return click.Comparison{}, err
	}
	if err := l.findRepeated(ctx, parts); err != nil {
		return click.Comparison{}, err
	}
	for _, w := range l.winners(parts, true) {
		l.progress("inserts the lake's clicks, " + w.name)
		err := l.exec(ctx, "insert the lake's clicks", `INSERT INTO clicks (`+clickColumns+`)
			SELECT w_minute, w_advertiser_id, w_ad_id, `+impressionUUID+`, w_clicked_at, w_arrival_id, w_partition, w_offset, {version:UInt64}, 0
			FROM (`+w.sql+`)
			WHERE impression_id NOT IN (SELECT impression_id FROM elsewhere)`, w.parameters)
		if err != nil {
			return click.Comparison{}, err
		}
	}
	return l.countBrought(ctx)
}

// countBrought counts what is stored with the snapshot's version. What the
// server tells of an insert counts the rows of every table they pass.
func (l *lakeSession) countBrought(ctx context.Context) (click.Comparison, error) {
	l.progress("counts what was inserted")
	err := l.exec(ctx, "count what was inserted", `CREATE TEMPORARY TABLE brought ENGINE = MergeTree ORDER BY `+place+` AS
		SELECT minute, advertiser_id, ad_id, count() AS lacked, groupArray(`+fmt.Sprint(click.SamplesMax)+`)(impression_id) AS samples
		FROM clicks FINAL WHERE `+inSpan+` AND version = {version:UInt64} GROUP BY minute, advertiser_id, ad_id`, nil)
	if err != nil {
		return click.Comparison{}, err
	}
	rows, err := l.conn.QueryContext(l.context(ctx, nil), `SELECT minute, sum(lacked), count() FROM brought GROUP BY minute ORDER BY minute`)
	if err != nil {
		return click.Comparison{}, readError("count what was inserted", err)
	}
	defer func() { _ = rows.Close() }()
	var c click.Comparison
	for rows.Next() {
		var minute time.Time
		var clicks, places uint64
		if err := rows.Scan(&minute, &clicks, &places); err != nil {
			return c, readError("count what was inserted", err)
		}
		c.Lake, c.Missing, c.Places = c.Lake+clicks, c.Missing+clicks, c.Places+places
		c.Minutes = append(c.Minutes, click.MinuteDelta{Minute: click.WindowOf(minute), Lake: clicks, Missing: clicks})
	}
	if err := rows.Err(); err != nil {
		return c, readError("count what was inserted", err)
	}
	return c, nil
}

// SpanIsEmpty reports whether nothing of [from, to) is stored or told.
func (s *Store) SpanIsEmpty(ctx context.Context, from, to click.Window) (bool, error) {
	var found uint64
	err := s.conn.QueryRow(ch.Context(ctx, ch.WithParameters(ch.Parameters{"from": minuteText(from), "to": minuteText(to)})), `SELECT
		(SELECT count() FROM (SELECT 1 FROM clicks FINAL WHERE `+inSpan+` LIMIT 1)) +
		(SELECT count() FROM (SELECT 1 FROM clicks_per_minute FINAL WHERE `+inSpan+` AND clicks > 0 LIMIT 1))`).Scan(&found)
	if err != nil {
		return false, readError("look whether a span is empty", err)
	}
	return found == 0, nil
}
