package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

const (
	// spanQueryTimeout is for an hour what flushQueryTimeout is for a minute.
	spanQueryTimeout = 10 * time.Minute
)

// AggregateSpan is AggregateWindow for many minutes at once. Which of them were
// final before is read here: those that are sealed. A minute that this store
// has never sealed was told by nothing that could be restated, also one from
// before its ledger's start: the store was made anew, and its clicks were
// brought back.
//
// In such a store, clicks that came after it was made anew may have been flushed
// into minutes from before its start already, as late ones. A backfill brings
// the whole back: what this store has restated of them until now is taken back.
func (s *Store) AggregateSpan(ctx context.Context, snapshot click.SpanSnapshot, reason click.FlushReason, progress func(string)) (restated uint64, err error) {
	progress("reads which minutes were final")
	final, renewed, start, err := s.finalMinutes(ctx, snapshot.Minutes, reason)
	if err != nil {
		return 0, err
	}
	if err := s.takeBack(ctx, snapshot, renewed, start, reason); err != nil {
		return 0, err
	}
	// The minutes that were final go first and alone: restatements are theirs.
	for _, part := range []struct {
		minutes  []click.Window
		wasFinal bool
	}{{final, true}, {without(snapshot.Minutes, final), false}} {
		if len(part.minutes) == 0 {
			continue
		}
		progress(fmt.Sprintf("writes the figures of %d minutes", len(part.minutes)))
		of := snapshot
		of.Minutes = part.minutes
		changed, err := s.writeFigures(s.spanContext(ctx, of, reason, nil), part.wasFinal)
		if err != nil {
			return restated, err
		}
		restated += changed
	}
	return restated, nil
}

// takeBack takes back what this store has restated of minutes that are made
// anew. Figures of sealed minutes change then, and nothing is restated: who has
// summed them up must notice nevertheless, by a row that says nothing else.
func (s *Store) takeBack(ctx context.Context, snapshot click.SpanSnapshot, renewed []click.Window, start time.Time, reason click.FlushReason) error {
	if len(renewed) == 0 {
		return nil
	}
	snapshot.Minutes = renewed
	ctx = s.spanContext(ctx, snapshot, reason, ch.Parameters{"start": start.Format(time.DateTime)})
	for _, query := range []string{
		`INSERT INTO restatements (advertiser_id, ad_id, minute, replaced_version, at, before, after, reason)
		SELECT advertiser_id, ad_id, minute, replaced_version, fromUnixTimestamp64Micro({version:Int64}, 'UTC'), after AS was, after, {reason:String}
		FROM restatements FINAL
		WHERE ` + inMinutes + ` AND before != after AND at >= {start:DateTime('UTC')} AND at < fromUnixTimestamp64Micro({version:Int64}, 'UTC')`,
		`INSERT INTO restatements (advertiser_id, ad_id, minute, replaced_version, at, before, after, reason)
		SELECT 0, 0, arrayJoin({minutes:Array(DateTime('UTC'))}), 0, fromUnixTimestamp64Micro({version:Int64}, 'UTC'), 0, 0, {reason:String}`,
	} {
		if err := s.conn.Exec(ctx, query); err != nil {
			return fmt.Errorf("take back restatements: %w", err)
		}
	}
	return nil
}

// finalMinutes are those of the minutes that are sealed; renewed are those from
// before the ledger's start that a backfill makes anew, and start is that start.
func (s *Store) finalMinutes(ctx context.Context, minutes []click.Window, reason click.FlushReason) (final, renewed []click.Window, start time.Time, err error) {
	if start, err = s.LedgerStart(ctx); err != nil {
		return nil, nil, start, err
	}
	rows, err := s.conn.Query(ch.Context(ctx, ch.WithParameters(ch.Parameters{"minutes": minutesText(minutes)})),
		`SELECT minute, state, reason FROM windows FINAL WHERE `+inMinutes+` AND state IN ('`+stateSealed+`', '`+stateEarlier+`') ORDER BY minute`)
	if err != nil {
		return nil, nil, start, readError("read which minutes are sealed", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var minute time.Time
		var state, why string
		if err := rows.Scan(&minute, &state, &why); err != nil {
			return nil, nil, start, readError("read which minutes are sealed", err)
		}
		w := click.WindowOf(minute)
		if state == stateEarlier && reason == click.BackfillFlush && strings.HasPrefix(why, string(click.LateFlush)) {
			renewed = append(renewed, w)
		} else {
			final = append(final, w)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, start, readError("read which minutes are sealed", err)
	}
	return final, renewed, start, nil
}

// without are the minutes that are not among others; both are in order.
func without(minutes, others []click.Window) []click.Window {
	var left []click.Window
	for _, w := range minutes {
		if len(others) > 0 && others[0] == w {
			others = others[1:]
			continue
		}
		left = append(left, w)
	}
	return left
}

// VerifySpan is VerifyWindow for many minutes at once.
func (s *Store) VerifySpan(ctx context.Context, snapshot click.SpanSnapshot, progress func(string)) (map[click.Window]click.Tally, error) {
	progress("counts once more what was written")
	ctx = s.spanContext(ctx, snapshot, "", nil)
	tallies := map[click.Window]click.Tally{}
	rows, err := s.conn.Query(ctx, `SELECT minute, sum(in_ads), sum(in_totals), sum(figures), sum(impressions)
		FROM
		(
			SELECT minute, sumIf(clicks, ad_id != 0) AS in_ads, sumIf(clicks, ad_id = 0) AS in_totals, count() AS figures, toUInt64(0) AS impressions
			FROM clicks_per_minute FINAL PREWHERE `+inMinutes+` WHERE version = {version:UInt64} GROUP BY minute
			UNION ALL
			SELECT minute, 0, 0, 0, uniqExact(impression_id) FROM clicks FINAL WHERE `+inSnapshot+` GROUP BY minute
		)
		GROUP BY minute`)
	if err != nil {
		return nil, readError("count what was written", err)
	}
	defer func() { _ = rows.Close() }()
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

// SealSpan enters many windows into the ledger, all or none.
func (s *Store) SealSpan(ctx context.Context, seals []click.Seal) error {
	start, err := s.startedLedger(ctx)
	if err != nil {
		return err
	}
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO windows (minute, version, state, clicks, rows, reason, topic_id, checked)")
	if err != nil {
		return readError("seal windows", err)
	}
	defer func() { _ = batch.Close() }()
	for _, seal := range seals {
		state := stateSealed
		if seal.Window.Start().Before(start) {
			state = stateEarlier
		}
		err := batch.Append(seal.Window.Start(), seal.Version, state, seal.Clicks, seal.Rows, seal.Reason, seal.TopicID, []int64(seal.Checked))
		if err != nil {
			return fmt.Errorf("seal windows: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("seal windows", err)
	}
	return nil
}

// spanContext is flushContext for many minutes: nobody waits for them.
func (s *Store) spanContext(ctx context.Context, snapshot click.SpanSnapshot, reason click.FlushReason, more ch.Parameters) context.Context {
	parameters := snapshotParameters(snapshot)
	for name, value := range more {
		parameters[name] = value
	}
	last := snapshot.Minutes[len(snapshot.Minutes)-1]
	return s.flushing(ctx, snapshot.Minutes[0].String()+" to "+last.String(), spanQueryTimeout, parameters, reason, ch.Settings{
		"max_threads": lakeThreads,
		"priority":    lakeQueryPriority,
	})
}
