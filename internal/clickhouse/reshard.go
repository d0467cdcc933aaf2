package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

const (
	// markedTable has, as its comment, which of how many shards its server was when
	// all rows were last where they belong.
	markedTable = "clicks_local"
	// shardedBy is how rows are told apart. The highest offsets of clicks_progress are
	// where their clicks are, and are asked for on all shards.
	shardedBy = "cityHash64(advertiser_id)"
	// insertsInterval is between two looks at what is still being inserted.
	insertsInterval = 200 * time.Millisecond
)

// shard is the server of one shard, as setup sees it.
type shard struct {
	addr   string
	db     *sql.DB
	number uint64 // from 1, in the servers' own configuration
	of     uint64
	mark   string
}

func (s *shard) String() string { return fmt.Sprintf("shard %d of %d", s.number, s.of) }

// misplaced is true for rows that belong to another shard.
func (s *shard) misplaced() string { return fmt.Sprintf("%s %% %d != %d", shardedBy, s.of, s.number-1) }

// reshard brings each advertiser's rows to the shard that they belong to, if there
// are other shards than there were. Else they would not be found, or be found
// twice. Meanwhile the tables that programs name are not there: who asks or
// stores is told that the store is unavailable, and not half of a figure.
//
// A day of a table is copied first and deleted behind. Copies replace each
// other, so what was cut short is taken up by the next call.
func reshard(ctx context.Context, shards []*shard, progress func(string)) error {
	due := false
	for _, s := range shards {
		if err := s.look(ctx, len(shards)); err != nil {
			return fmt.Errorf("look at the shards of clickhouse at %s: %w", s.addr, err)
		}
		due = due || s.of > 1 && s.mark != s.String()
	}
	if !due {
		return nil
	}
	tables, err := shardedTables()
	if err != nil {
		return err
	}
	progress("the shards are others than before: until all rows are where they belong, reports are unavailable and clicks wait")
	for _, s := range shards {
		for _, t := range tables {
			if err := execDB(ctx, s.db, "DROP TABLE IF EXISTS "+t.name+" SYNC"); err != nil {
				return fmt.Errorf("take %s away at %s: %w", t.name, s.addr, err)
			}
		}
	}
	for _, s := range shards {
		if err := s.awaitInserts(ctx); err != nil {
			return fmt.Errorf("wait for inserts at %s: %w", s.addr, err)
		}
	}
	// What was being stored elsewhere when the tables went may have come behind the copy.
	for moved := true; moved; {
		moved = false
		for _, s := range shards {
			for _, t := range tables {
				some, err := s.move(ctx, t, progress)
				if err != nil {
					return fmt.Errorf("move rows of %s from %s: %w", t.name, s.addr, err)
				}
				moved = moved || some
			}
		}
	}
	for _, s := range shards {
		if err := execDB(ctx, s.db, "ALTER TABLE "+markedTable+" MODIFY COMMENT '"+s.String()+"'"); err != nil {
			return fmt.Errorf("mark clickhouse at %s: %w", s.addr, err)
		}
	}
	return nil
}

// shardedTables are the tables whose rows are told apart by their advertiser.
func shardedTables() ([]table, error) {
	tables, err := namedTables()
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return slices.DeleteFunc(tables, func(t table) bool { return !strings.Contains(t.engine, shardedBy) }), nil
}

// look finds out which shard a server is, and was. There is no way back to fewer:
// rows would be left on a server that nobody asks any more.
func (s *shard) look(ctx context.Context, shards int) error {
	var local uint64
	err := s.db.QueryRowContext(ctx, `SELECT uniqExact(shard_num), countIf(is_local), toUInt64(anyIf(shard_num, is_local)),
		(SELECT any(comment) FROM system.tables WHERE database = currentDatabase() AND name = '`+markedTable+`')
		FROM system.clusters WHERE cluster = 'clickledger'`).Scan(&s.of, &local, &s.number, &s.mark)
	if err != nil {
		return err
	}
	var was, wasOf uint64
	known, _ := fmt.Sscanf(s.mark, "shard %d of %d", &was, &wasOf)
	switch {
	case s.of != uint64(shards):
		return fmt.Errorf("its cluster has %d shards, the settings name %d", s.of, shards)
	case s.of > 1 && local != 1:
		return fmt.Errorf("it finds itself %d times among the shards of its cluster", local)
	case known == 2 && wasOf > s.of:
		return fmt.Errorf("it was %s: shards can be added, not taken away", s.mark)
	default:
		return nil
	}
}

// awaitInserts waits until nothing is being inserted any more: rows that came
// between a day's copy and the deletion behind it would be deleted with it.
func (s *shard) awaitInserts(ctx context.Context) error {
	ticker := time.NewTicker(insertsInterval)
	defer ticker.Stop()
	for {
		var running uint64
		err := s.db.QueryRowContext(ctx, `SELECT count() FROM system.processes
			WHERE query_kind = 'Insert' AND is_initial_query AND current_database = currentDatabase()`).Scan(&running)
		if err != nil || running == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// move brings the misplaced rows of a table where they belong, and reports
// whether there were any.
func (s *shard) move(ctx context.Context, t table, progress func(string)) (moved bool, err error) {
	local, moving := t.name+"_local", t.name+"_moving"
	days, err := daysOf(ctx, s.db, local, " WHERE "+s.misplaced())
	if err != nil || len(days) == 0 {
		return false, err
	}
	if err := execDB(ctx, s.db, "CREATE OR REPLACE TABLE "+moving+" AS "+local+" ENGINE = "+t.engine); err != nil {
		return false, err
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"max_execution_time": 0, "min_insert_block_size_rows": moveBlockRows, "min_insert_block_size_bytes": moveBlockRows * 64, "mutations_sync": 1,
	}))
	for i, day := range days {
		progress(fmt.Sprintf("moves rows of %s from %s to where they belong: day %d of %d", t.name, s, i+1, len(days)))
		where := fmt.Sprintf("minute >= toDateTime('%[1]s 00:00:00', 'UTC') AND minute < toDateTime('%[1]s 00:00:00', 'UTC') + INTERVAL 1 DAY AND %[2]s", day, s.misplaced())
		for _, query := range []string{
			"INSERT INTO " + moving + " SELECT * FROM " + local + " WHERE " + where,
			"ALTER TABLE " + local + " DELETE WHERE " + where,
		} {
			if err := execDB(ctx, s.db, query); err != nil {
				return true, err
			}
		}
	}
	return true, execDB(ctx, s.db, "DROP TABLE "+moving+" SYNC")
}
