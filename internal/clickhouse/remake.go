package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

const (
	// movedSince is how long before a move began a flush may have read its version
	// and write only now.
	movedSince = 24 * time.Hour
	// moveBlockRows makes few parts of a day.
	moveBlockRows = 4 << 20
)

// remade is a table that is to be made otherwise.
type remade struct {
	table    string // without _local
	from, to string // of how it was made
	// versioned: its rows have versions, so what was written lately can be told.
	versioned bool
}

// remakes are migration 10. A flush and a rollup read the partition of the
// figures per minute that they write to, or sum up, from end to end for one
// column: of a week instead of a month. (Of a day would be less still, but a
// report in a zone half an hour off reads some minutes of every day, and each
// part that it opens costs more than the rows in it.) What was not counted is
// asked for by advertiser, of up to five weeks: with the minute first, all of it
// was read.
func remakes() []remade {
	return []remade{
		{"clicks_per_minute", "PARTITION BY toYYYYMM(minute)", "PARTITION BY toMonday(minute)", true},
		{
			"clicks_filtered", "PARTITION BY toYYYYMMDD(minute) ORDER BY (minute, advertiser_id, ad_id, reason, id)",
			"PARTITION BY toMonday(minute) ORDER BY (advertiser_id, ad_id, minute, reason, id)", false,
		},
	}
}

// readSettings are for tables that reports read. The index keeps all columns of
// the key in memory: by default it keeps only the first where that differs from
// step to step, as advertisers do but for the largest, and one of its ads was
// looked for in all of its rows. A partition that nothing was written to for a
// day becomes one part.
const readSettings = "primary_key_ratio_of_unique_prefix_values_to_skip_suffix_columns = 1, " +
	"min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1"

func readTables() []string {
	return []string{"clicks_per_minute", "clicks_per_hour", "clicks_per_day", "clicks_per_week", "clicks_per_month", "restatements", "clicks_filtered"}
}

// remakeTables is a migration in code, because a table's key cannot be changed,
// and what is moved must not be moved back when it is tried again.
func remakeTables() *goose.Migration {
	return goose.NewGoMigration(10,
		&goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			for _, table := range readTables() { // parts that are there have it after a merge, or the server's next start
				if err := execDB(ctx, db, "ALTER TABLE "+table+"_local MODIFY SETTING "+readSettings); err != nil {
					return fmt.Errorf("change how %s is read: %w", table, err)
				}
			}
			return moveAll(ctx, db, remakes())
		}},
		&goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error { return moveAll(ctx, db, backwards(remakes())) }})
}

func moveAll(ctx context.Context, db *sql.DB, tables []remade) error {
	for _, r := range tables {
		if err := r.move(ctx, db); err != nil {
			return fmt.Errorf("remake %s: %w", r.table, err)
		}
	}
	return nil
}

func backwards(tables []remade) []remade {
	for i, r := range tables {
		tables[i].from, tables[i].to = r.to, r.from
	}
	return tables
}

func (r remade) local() string { return r.table + "_local" }
func (r remade) moved() string { return r.table + "_moved" }

// move copies the rows into a table that is made otherwise, which takes the
// place of the old one at one moment. What is written to the old table meanwhile
// is moved too: what came while the rest was copied just before that moment, and
// the last of it right behind. Copies replace each other, so all of it may be
// repeated from anywhere.
func (r remade) move(ctx context.Context, db *sql.DB) error {
	last := time.Time{} // everything once more, if an earlier try has died behind that moment
	engine, err := engineOf(ctx, db, r.local())
	if err != nil {
		return err
	}
	if strings.Contains(engine, r.from) {
		if r.versioned {
			last = time.Now().Add(-movedSince)
		}
		if err := execDB(ctx, db, "CREATE TABLE IF NOT EXISTS "+r.moved()+" AS "+r.local()+" ENGINE = "+strings.Replace(engine, r.from, r.to, 1)); err != nil {
			return err
		}
		for _, since := range []time.Time{{}, last} {
			if err := r.copy(ctx, db, r.local(), r.moved(), since); err != nil {
				return err
			}
		}
		if err := execDB(ctx, db, "EXCHANGE TABLES "+r.local()+" AND "+r.moved()); err != nil {
			return err
		}
	}
	left, err := engineOf(ctx, db, r.moved())
	if err != nil || left == "" {
		return err
	}
	if err := r.copy(ctx, db, r.moved(), r.local(), last); err != nil {
		return err
	}
	return execDB(ctx, db, "DROP TABLE "+r.moved()+" SYNC")
}

// copy copies what has a version of at least since, or everything, day by day: a
// block that has rows of many days makes a part for each of them.
func (r remade) copy(ctx context.Context, db *sql.DB, from, to string, since time.Time) error {
	written := ""
	if r.versioned {
		written = fmt.Sprintf(" WHERE version >= %d", max(since.UnixMicro(), 0))
	}
	days, err := daysOf(ctx, db, from, written)
	if err != nil {
		return err
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"max_execution_time": 0, "min_insert_block_size_rows": moveBlockRows, "min_insert_block_size_bytes": moveBlockRows * 64,
	}))
	for _, day := range days {
		err := execDB(ctx, db, fmt.Sprintf(`INSERT INTO %[1]s SELECT * FROM %[2]s
			PREWHERE minute >= toDateTime('%[3]s 00:00:00', 'UTC') AND minute < toDateTime('%[3]s 00:00:00', 'UTC') + INTERVAL 1 DAY%[4]s`, to, from, day, written))
		if err != nil {
			return err
		}
	}
	return nil
}

func daysOf(ctx context.Context, db *sql.DB, table, where string) (days []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT toString(toDate(minute)) AS day FROM "+table+where+" GROUP BY day ORDER BY day") //nolint:gosec // all of it is ours
	if err != nil {
		return nil, fmt.Errorf("read the days of %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var day string
		if err := rows.Scan(&day); err != nil {
			return nil, fmt.Errorf("read the days of %s: %w", table, err)
		}
		days = append(days, day)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the days of %s: %w", table, err)
	}
	return days, nil
}

// engineOf is how a table was made, "" if there is none.
func engineOf(ctx context.Context, db *sql.DB, table string) (string, error) {
	var engine string
	err := db.QueryRowContext(ctx, "SELECT any(engine_full) FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&engine)
	if err != nil {
		return "", fmt.Errorf("read how %s was made: %w", table, err)
	}
	return engine, nil
}

func execDB(ctx context.Context, db *sql.DB, query string) error {
	_, err := db.ExecContext(ctx, query)
	return err
}
