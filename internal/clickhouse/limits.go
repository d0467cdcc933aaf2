package clickhouse

import (
	"context"
	"math"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// limited is the context of a query of a report: the server ends it after so
// many seconds, or with ctx if that is earlier. What it is about to read is
// counted by the key, before anything is read: more rows than are allowed are
// refused. See readError for what becomes of each.
func (s *Store) limited(ctx context.Context, seconds int, more ch.Settings) context.Context {
	if deadline, ok := ctx.Deadline(); ok {
		seconds = max(min(seconds, int(math.Ceil(time.Until(deadline).Seconds()))), 1)
	}
	settings := ch.Settings{
		"max_execution_time": seconds,
		"max_query_size":     reportQueryBytesMax,
		// Of the query as a whole and, where it is read by several shards, of each.
		"max_rows_to_read":      s.config.ReportRowsMax,
		"max_rows_to_read_leaf": s.config.ReportRowsMax,
		"max_memory_usage":      s.config.ReportMemoryBytesMax,
	}
	for name, value := range more {
		settings[name] = value
	}
	return ch.Context(undated{ctx}, ch.WithSettings(settings))
}

// undated is a context that ends when its parent does, and does not tell when
// that will be: the client would replace max_execution_time by the time that is
// left, and five seconds.
type undated struct{ context.Context }

// Deadline tells of none.
func (undated) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
