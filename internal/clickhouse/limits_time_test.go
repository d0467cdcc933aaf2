package clickhouse

import (
	"context"
	"errors"
	"testing"
	"time"

	"clickledger/internal/stacktest"
)

// The client would replace the limit by the caller's time and five seconds.
func TestTheServerEndsAQuestionOfAReportInTime(t *testing.T) {
	c := stacktest.Config(t)
	if err := Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return DropDatabase(ctx, c) })
	store, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	for name, c := range map[string]struct {
		left time.Duration // of the caller's time; 0: without an end
		want string
	}{
		"without an end": {0, "15"}, "with more time than it may take": {time.Minute, "15"}, "with less": {5 * time.Second, "5"},
	} {
		ctx := t.Context()
		if c.left > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.left)
			defer cancel()
		}
		var got string
		err := store.conn.QueryRow(store.limited(ctx, reportQuerySeconds, nil), "SELECT toString(getSetting('max_execution_time'))").Scan(&got)
		if err != nil || got != c.want {
			t.Errorf("%s: the server ends it after %q s, want %s, %v", name, got, c.want, err)
		}
	}
	rows, err := store.conn.Query(store.limited(t.Context(), 1, nil),
		"SELECT sum(sleepEachRow(0.1)) FROM numbers(100) SETTINGS max_block_size = 1")
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		_ = rows.Close()
	}
	if err = readError("sleep", err); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a question that takes too long: %v", err)
	}
}
