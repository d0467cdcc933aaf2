package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// discrepanciesMax bounds what one comparison records: from an emptied store
// everything differs. Those with the most clicks come first.
const discrepanciesMax = 50_000

// CompareLake counts a span from the lake and compares it with what is stored
// and with what is told, by (advertiser, ad, minute), cheap first: counts and
// sums of hashes of impressions; the clicks themselves only where these differ.
// With a run, what differs is written to `discrepancies` under it. Progress is
// called with what is being done. It changes nothing else.
func (s *Store) CompareLake(
	ctx context.Context, snapshot click.LakeSnapshot, plan click.LakePlan, run string, pass int, progress func(string),
) (click.Comparison, error) {
	l, err := s.lakeSession(ctx, snapshot, plan, progress)
	if err != nil {
		return click.Comparison{}, err
	}
	defer l.close()
	look := l.diff
	if snapshot.FiguresOnly {
		look = l.count
	}
	if err := look(ctx); err != nil {
		return click.Comparison{}, err
	}
	seals, err := l.countFigures(ctx)
	if err != nil {
		return click.Comparison{}, err
	}
	if err := l.judgeFigures(ctx, seals); err != nil {
		return click.Comparison{}, err
	}
	comparison, err := l.comparison(ctx)
	if err != nil || run == "" || comparison.Agrees() {
		return comparison, err
	}
	return comparison, l.record(ctx, run, pass)
}

// diff fills the session's tables with the clicks that differ.
func (l *lakeSession) diff(ctx context.Context) error {
	if err := l.noteHoles(ctx); err != nil {
		return err
	}
	parts, err := l.slices(ctx)
	if err != nil {
		return err
	}
	if err := l.findRepeated(ctx, parts); err != nil {
		return err
	}
	if err := l.countLake(ctx, parts); err != nil {
		return err
	}
	if l.seals, err = l.readSeals(ctx); err != nil {
		return err
	}
	if err := l.countStore(ctx, l.seals); err != nil {
		return err
	}
	places, clicks, stored, err := l.findPlaces(ctx)
	if err != nil {
		return err
	}
	if stored == 0 && clicks > uint64(l.sliceClicks) {
		l.empty = true
		return nil
	}
	return l.findClicks(ctx, parts, places, clicks)
}

// spanSeals are the seals of a span's minutes.
type spanSeals struct {
	from       click.Window
	minutes    int
	partitions int
	checked    map[click.Window]click.Offsets
}

// readSeals reads what the minutes' seals have checked. The window table is
// small: of each minute the newest row counts.
func (l *lakeSession) readSeals(ctx context.Context) (spanSeals, error) {
	seals := spanSeals{from: l.plan.From, minutes: int(l.plan.To.Start().Sub(l.plan.From.Start()) / click.WindowLength), checked: map[click.Window]click.Offsets{}}
	rows, err := l.conn.QueryContext(l.context(ctx, nil), `SELECT minute, checked FROM windows FINAL WHERE `+inSpan+` AND state IN ('`+stateSealed+`', '`+stateEarlier+`')`)
	if err != nil {
		return seals, readError("read the span's seals", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var minute time.Time
		var checked []int64
		if err := rows.Scan(&minute, &checked); err != nil {
			return seals, readError("read the span's seals", err)
		}
		seals.checked[click.WindowOf(minute)] = checked
		seals.partitions = max(seals.partitions, len(checked))
	}
	if err := rows.Err(); err != nil {
		return seals, readError("read the span's seals", err)
	}
	return seals, nil
}

// flushed tells of a stored row whether its minute's seal has read it. What
// came later is no error of the figure: the next tick flushes it.
func (s spanSeals) flushed() string {
	return `(partition < {partitions:Int32} AND offset < {checked:Array(Int64)}[toInt32(dateDiff('minute', {from:DateTime('UTC')}, minute)) * {partitions:Int32} + partition + 1])`
}

// parameters are the checked offsets, one minute's behind the other's.
func (s spanSeals) parameters() ch.Parameters {
	flat := make(click.Offsets, s.minutes*s.partitions)
	sealed := make([]string, 0, len(s.checked))
	w := s.from
	for minute := range s.minutes {
		if checked, ok := s.checked[w]; ok {
			copy(flat[minute*s.partitions:], checked)
			sealed = append(sealed, "'"+minuteText(w)+"'")
		}
		w = w.Next()
	}
	return ch.Parameters{
		"checked": offsetsText(flat), "partitions": fmt.Sprint(s.partitions),
		"sealed": "[" + strings.Join(sealed, ",") + "]",
	}
}

// countFigures adds what is told to the places, the advertisers' totals too.
func (l *lakeSession) countFigures(ctx context.Context) (spanSeals, error) {
	l.progress("reads the figures")
	return l.seals, l.exec(ctx, "read the figures", `INSERT INTO places (minute, advertiser_id, ad_id, figure)
		SELECT minute, advertiser_id, ad_id, clicks FROM clicks_per_minute FINAL WHERE `+inSpan+` AND clicks > 0`, nil)
}

// judgeFigures makes the table of all places that differ. A minute's figure
// must be what its seal has read of what is stored, as it will be once the
// clicks that differ are mended; it is not judged before the minute is sealed.
// Where no clicks are stored any more it must be what the lake counts.
func (l *lakeSession) judgeFigures(ctx context.Context, seals spanSeals) error {
	// A place's counts count for its advertiser's total too. Of that only the figure is judged.
	expected, judged := "toInt64(sum(read)) + sum(change)", "has({sealed:Array(DateTime('UTC'))}, minute) AND expected != toInt64(figure)"
	if l.snapshot.FiguresOnly {
		expected, judged = "toInt64("+l.fromLake("sum(in_lake)", "sum(told)")+")", "expected != toInt64(figure)"
	}
	lacks := "toUInt64(0)"
	if l.empty {
		lacks = "lake"
	}
	const bothPlaces = `ARRAY JOIN if(ad_id = 0, [toInt64(0)], [ad_id, 0]) AS ad`
	return l.exec(ctx, "judge the figures", `CREATE TEMPORARY TABLE found ENGINE = MergeTree ORDER BY `+place+` AS
		SELECT minute, advertiser_id, ad AS ad_id, sum(in_lake) AS lake, sum(in_store) AS store, sum(told) AS figure,
			if(ad = 0, 0, sum(lacks)) AS missing, if(ad = 0, 0, sum(more)) AS surplus,
			`+expected+` AS expected, `+judged+` AS wrong
		FROM
		(
			SELECT minute, advertiser_id, ad, lake AS in_lake, stored AS in_store, if(ad = ad_id, figure, 0) AS told, `+lacks+` AS lacks, toUInt64(0) AS more, flushed AS read, toInt64(0) AS change
			FROM places `+bothPlaces+`
			UNION ALL
			SELECT minute, advertiser_id, ad, 0, 0, 0, toUInt64(`+isMissing+`), toUInt64(missing = 0), 0,
				if(NOT `+seals.flushed()+`, 0, multiIf(missing = 0, -1, `+toInsert+`, 1, 0))
			FROM diffs `+bothPlaces+`
		)
		GROUP BY minute, advertiser_id, ad
		HAVING missing > 0 OR surplus > 0 OR wrong`, seals.parameters())
}

// comparison sums up what was found.
func (l *lakeSession) comparison(ctx context.Context) (click.Comparison, error) {
	var c click.Comparison
	err := l.scan(ctx, "sum up", `SELECT sum(lake), sum(stored), sumIf(figure, ad_id != 0) FROM places`, &c.Lake, &c.Store, &c.Figures)
	if err != nil {
		return c, err
	}
	err = l.scan(ctx, "sum up", `SELECT sum(missing), sum(surplus), count(), countIf(missing = 0 AND surplus = 0) FROM found`,
		&c.Missing, &c.Surplus, &c.Places, &c.WrongFigures)
	if err != nil || c.Places == 0 {
		return c, err
	}
	rows, err := l.conn.QueryContext(l.context(ctx, nil), `SELECT minute, sum(in_lake), sum(in_store), sum(told), sum(lacks), sum(more)
		FROM
		(
			SELECT minute, lake AS in_lake, stored AS in_store, if(ad_id != 0, figure, 0) AS told, toUInt64(0) AS lacks, toUInt64(0) AS more FROM places
			WHERE minute IN (SELECT minute FROM found)
			UNION ALL
			SELECT minute, 0, 0, 0, missing, surplus FROM found
		)
		GROUP BY minute ORDER BY minute`)
	if err != nil {
		return c, readError("sum up by minute", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var minute time.Time
		var d click.MinuteDelta
		if err := rows.Scan(&minute, &d.Lake, &d.Store, &d.Figures, &d.Missing, &d.Surplus); err != nil {
			return c, readError("sum up by minute", err)
		}
		d.Minute = click.WindowOf(minute)
		c.Minutes = append(c.Minutes, d)
	}
	if err := rows.Err(); err != nil {
		return c, readError("sum up by minute", err)
	}
	return c, nil
}

// record writes the places that differ, with samples. The same run and pass
// writes the same rows.
func (l *lakeSession) record(ctx context.Context, run string, pass int) error {
	samples := func(condition string) string {
		return fmt.Sprintf("arraySort(groupArrayIf(%d)(%s, %s))", click.SamplesMax, impressionUUID, condition)
	}
	return l.exec(ctx, "record what differs", `INSERT INTO discrepancies (minute, advertiser_id, ad_id, run, pass, lake, store, figure, missing, surplus, missing_samples, surplus_samples)
		SELECT f.minute, f.advertiser_id, f.ad_id, {run:String}, {pass:UInt8}, f.lake, f.store, f.figure, f.missing, f.surplus, d.lacking, d.left_over
		FROM (SELECT * FROM found ORDER BY missing + surplus DESC, minute, advertiser_id, ad_id LIMIT `+fmt.Sprint(discrepanciesMax)+`) AS f
		LEFT JOIN
		(
			SELECT minute, advertiser_id, ad_id, `+samples(isMissing)+` AS lacking, `+samples("missing = 0")+` AS left_over
			FROM (SELECT * FROM diffs ORDER BY impression_id) GROUP BY minute, advertiser_id, ad_id
		) AS d ON d.minute = f.minute AND d.advertiser_id = f.advertiser_id AND d.ad_id = f.ad_id`,
		ch.Parameters{"run": run, "pass": fmt.Sprint(pass)})
}
