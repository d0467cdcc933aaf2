package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

	"clickledger/internal/click"
	"clickledger/tests/poll"
)

const (
	// fillAtOnce is how many queries fill at a time: as many as there are cores.
	fillAtOnce = 2
	// fillBlockRows is what one part is made of, if there is so much.
	fillBlockRows = 8 << 20
	// rawSlice of the full day's clicks is one insert.
	rawSlice = 30 * time.Minute

	mergedTimeout  = 10 * time.Minute
	mergedInterval = time.Second
)

// fill makes everything, or finds that it was kept.
func (b *bench) fill(ctx context.Context) error {
	kept, err := b.recall(ctx)
	if err != nil || kept {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"making the catalogue", b.fillCatalogue},
		{"making figures per minute", b.fillMinutes},
		{"merging them, as a day without writes does", b.mergeMinutes},
		{"making the clicks of the last day", b.fillFullDay},
		{"making the clicks of the largest advertiser", b.fillLargest},
		{"waiting for merges", b.merged},
		{"flushing minutes", b.flush},
		{"rolling up", b.rollUp},
		{"merging what was rolled up", b.mergeSums},
		{"waiting for merges", b.merged},
	} {
		say("%s", step.what)
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		say("  %.1f s", time.Since(began).Seconds())
	}
	return b.remember(ctx)
}

// exec runs a query that fills. Rows come and go in the order of the tables, so
// nothing has to be sorted.
func (b *bench) exec(ctx context.Context, query string) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_threads": 1, "max_insert_threads": 1,
		"min_insert_block_size_rows": fillBlockRows, "min_insert_block_size_bytes": 0, "max_insert_block_size": fillBlockRows,
		"max_memory_usage": int64(5) << 30, "max_bytes_before_external_group_by": int64(1) << 30,
		"distributed_foreground_insert": 1, "async_insert": 0,
	}))
	if err := b.conn.Exec(ctx, query); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(query), "\n")
		return fmt.Errorf("%s …: %w", first, err)
	}
	return nil
}

// each runs do for every item, some at once, and says how far it is.
func each(ctx context.Context, items, atOnce int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	var done atomic.Int64
	for i := range items {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := do(ctx, i)
			fmt.Printf("\r  %d of %d ", done.Add(1), items)
			return err
		})
	}
	err := group.Wait()
	fmt.Print("\r")
	return err
}

func (b *bench) fillCatalogue(ctx context.Context) error {
	for _, query := range []string{
		"CREATE TABLE bench_ads (n UInt64, advertiser_id Int64, ad_id Int64, ad_rank UInt32, minutes Float32, mean UInt32) ENGINE = MergeTree ORDER BY (advertiser_id, ad_id)",
		"CREATE TABLE bench_facts (name String, value Float64) ENGINE = MergeTree ORDER BY name",
		"INSERT INTO bench_ads " + b.world.adsSQL(),
		fmt.Sprintf("INSERT INTO advertisers_local SELECT %s, concat('Advertiser ', toString(number + 1)), 1 FROM numbers(%d)", advertiserSQL("(number + 1)"), b.world.advertisers),
		`INSERT INTO ads_local (ad_id, advertiser_id, name, landing_url, status, version) SELECT ad_id, advertiser_id, concat('Ad ', toString(ad_rank), ' of advertiser ', toString(n)),
			concat('https://example.com/', toString(n), '/', toString(ad_rank), '?from=clickledger'), 'ACTIVE', 1 FROM bench_ads`,
	} {
		if err := b.exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// fillMinutes makes the figures day by day, the last day when it is known how
// many clicks a usual day has.
func (b *bench) fillMinutes(ctx context.Context) error {
	w := b.world
	err := each(ctx, w.days-1, fillAtOnce, func(ctx context.Context, i int) error { return b.fillDay(ctx, w.begin().Add(i), 1) })
	if err != nil {
		return err
	}
	usual, err := b.number(ctx, "SELECT sum(clicks) FROM windows_local WHERE minute >= ? AND minute < ?", w.last().Add(-1).Start(), w.last().Start())
	if err != nil {
		return err
	}
	return b.fillDay(ctx, w.last(), int((uint64(w.fullDay)+usual-1)/usual))
}

// fillDay makes a day as flushes would have left it: figures of ads and
// advertisers, seals, and some restatements and filtered clicks.
func (b *bench) fillDay(ctx context.Context, d click.Day, boost int) error {
	of := fmt.Sprintf("minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC')", d.Start().Unix(), d.End().Unix())
	checked := "[" + strings.TrimSuffix(strings.Repeat("toInt64("+offsetsChecked+"),", b.world.partitions), ",") + "]"
	for _, query := range []string{
		"INSERT INTO clicks_per_minute_local (advertiser_id, ad_id, minute, clicks, version)\n" + b.world.minutesSQL(d, boost),
		fmt.Sprintf(`INSERT INTO clicks_per_minute_local (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, 0, minute, sum(clicks), %d FROM clicks_per_minute_local WHERE %s AND ad_id != 0 GROUP BY advertiser_id, minute`, version(d), of),
		fmt.Sprintf(`INSERT INTO windows_local (minute, version, state, clicks, rows, reason, topic_id, checked)
SELECT minute, %d, 'SEALED', sumIf(clicks, ad_id != 0), count(), 'first', '', %s FROM clicks_per_minute_local WHERE %s GROUP BY minute`, version(d), checked, of),
		fmt.Sprintf(`INSERT INTO restatements_local (advertiser_id, ad_id, minute, replaced_version, at, before, after, reason)
SELECT advertiser_id, ad_id, minute, version - 60000000, fromUnixTimestamp64Micro(toInt64(version), 'UTC'), clicks - 1, clicks, 'late'
FROM clicks_per_minute_local WHERE %s AND cityHash64(advertiser_id, minute) %% %d = 0`, of, restatedOneOf),
		fmt.Sprintf(`INSERT INTO clicks_filtered_local (minute, advertiser_id, ad_id, reason, id, count, is_arrival)
SELECT minute, advertiser_id, ad_id, 'duplicate', reinterpret(toUInt128(cityHash64(ad_id, minute)), 'UUID'), 1, 0
FROM clicks_per_minute_local WHERE %s AND ad_id != 0 AND cityHash64(ad_id, minute) %% %d = 0 ORDER BY minute, advertiser_id, ad_id`, of, filteredOneOf),
	} {
		if err := b.exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// mergeMinutes makes one part of each week.
func (b *bench) mergeMinutes(ctx context.Context) error {
	var mondays []string
	if err := b.conn.QueryRow(ctx, "SELECT groupArray(DISTINCT partition) FROM system.parts WHERE database = currentDatabase() AND table = 'clicks_per_minute_local' AND active").Scan(&mondays); err != nil {
		return fmt.Errorf("find weeks: %w", err)
	}
	return each(ctx, len(mondays), fillAtOnce, func(ctx context.Context, i int) error {
		return b.exec(ctx, "OPTIMIZE TABLE clicks_per_minute_local PARTITION '"+mondays[i]+"' FINAL")
	})
}

func (b *bench) mergeSums(ctx context.Context) error {
	for _, table := range []string{"clicks_per_hour", "clicks_per_day", "clicks_per_week", "clicks_per_month", "restatements", "clicks_filtered"} {
		if err := b.exec(ctx, "OPTIMIZE TABLE "+table+"_local FINAL"); err != nil {
			return err
		}
	}
	return nil
}

const insertClicks = "INSERT INTO clicks_local (minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset)\n"

// fillFullDay makes the clicks of all advertisers in the last day.
func (b *bench) fillFullDay(ctx context.Context) error {
	w := b.world
	slices := int(w.last().End().Sub(w.last().Start()) / rawSlice)
	err := each(ctx, slices, fillAtOnce, func(ctx context.Context, i int) error {
		from := w.last().Start().Add(time.Duration(i) * rawSlice)
		return b.exec(ctx, insertClicks+w.clicksSQL(storedSQL("ad_id != 0", from, from.Add(rawSlice))))
	})
	if err != nil {
		return err
	}
	for i := range flushes {
		if err := b.exec(ctx, insertClicks+w.clicksSQL(w.flushedSQL(w.flushFrom().Add(time.Duration(i)*click.WindowLength)))); err != nil {
			return err
		}
	}
	return nil
}

// fillLargest makes the clicks of the largest advertiser in all other days.
func (b *bench) fillLargest(ctx context.Context) error {
	w := b.world
	return each(ctx, w.days-1, fillAtOnce, func(ctx context.Context, i int) error {
		d := w.begin().Add(i)
		if err := b.exec(ctx, insertClicks+w.clicksSQL(storedSQL("ad_id != 0 AND advertiser_id = "+advertiserSQL("1"), d.Start(), d.End()))); err != nil {
			return err
		}
		return b.exec(ctx, "OPTIMIZE TABLE clicks_local PARTITION "+strings.ReplaceAll(d.String(), "-", "")+" FINAL")
	})
}

// merged returns when the server has nothing left to merge of this database.
func (b *bench) merged(ctx context.Context) error {
	quiet := 0
	return poll.Until(ctx, mergedTimeout, mergedInterval, func(ctx context.Context) error {
		running, err := b.number(ctx, "SELECT count() FROM system.merges WHERE database = currentDatabase()")
		if err != nil {
			return err
		}
		if quiet++; running > 0 {
			quiet = 0
		}
		if quiet < 3 {
			return errors.New("merges are running")
		}
		return nil
	})
}

// idle seals the minutes from the end of what is filled in until now: nothing
// was clicked in them.
func (b *bench) idle(ctx context.Context) error {
	from, err := b.number(ctx, "SELECT toUInt64(toUnixTimestamp(max(minute))) + 60 FROM windows_local")
	if err != nil {
		return err
	}
	before := uint64(time.Now().Add(-2 * click.WindowLength).Unix())
	if before <= from {
		return nil
	}
	return b.exec(ctx, fmt.Sprintf(`INSERT INTO windows_local (minute, version, state, clicks, rows, reason, topic_id, checked)
SELECT toDateTime(%d + 60 * number, 'UTC'), toUnixTimestamp64Micro(now64(6)), 'SEALED', 0, 0, 'first', '', [] FROM numbers(%d)`, from, (before-from)/60))
}

// The facts of a store that is kept.
const (
	factEnd    = "end"
	factDays   = "days"
	factScale  = "scale"
	factFlush  = "flush"
	factRollup = "rollup"
)

func (b *bench) remember(ctx context.Context) error {
	for name, value := range map[string]float64{
		factEnd: float64(b.world.end.Start().Unix()), factDays: float64(b.world.days), factScale: b.settings.Scale,
		factFlush: b.result.FlushMS, factRollup: b.result.RollupPerSecond,
	} {
		if err := b.conn.Exec(ctx, "INSERT INTO bench_facts VALUES (?, ?)", name, value); err != nil {
			return fmt.Errorf("remember what was filled in: %w", err)
		}
	}
	return nil
}

// recall finds whether the store is filled, and how.
func (b *bench) recall(ctx context.Context) (kept bool, err error) {
	tables, err := b.number(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'bench_facts'")
	if err != nil || tables == 0 {
		return false, err
	}
	facts := map[string]float64{}
	rows, err := b.conn.Query(ctx, "SELECT name, value FROM bench_facts")
	if err != nil {
		return false, fmt.Errorf("read what is kept: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var value float64
		if err := rows.Scan(&name, &value); err != nil {
			return false, fmt.Errorf("read what is kept: %w", err)
		}
		facts[name] = value
	}
	if err := rows.Err(); err != nil {
		return false, fmt.Errorf("read what is kept: %w", err)
	}
	if facts[factEnd] == 0 {
		return false, fmt.Errorf("the namespace %s was not filled to its end: drop its database, or keep another", b.settings.Keep)
	}
	if facts[factScale] != b.settings.Scale || int(facts[factDays]) != b.settings.Days {
		return false, fmt.Errorf("the namespace %s was filled with SCALE=%v DAYS=%v", b.settings.Keep, facts[factScale], facts[factDays])
	}
	b.world.end = click.DayOf(time.Unix(int64(facts[factEnd]), 0))
	b.result.FlushMS, b.result.RollupPerSecond = facts[factFlush], facts[factRollup]
	say("the store is filled; how fast it was flushed and rolled up is from then")
	return true, nil
}
