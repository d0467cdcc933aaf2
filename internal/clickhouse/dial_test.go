package clickhouse

import (
	"testing"

	"clickledger/internal/click"
	"clickledger/internal/stacktest"
)

// The options of a query travel in its context, which also dials.
func TestAQueryWithParametersMayDialAConnection(t *testing.T) {
	l := newLedger(t)
	c := stacktest.Config(t)
	c.Namespace = l.database
	fresh, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fresh.Close() }()
	if through, err := fresh.prefix(t.Context(), l.start); err != nil || through != l.start {
		t.Errorf("prefix is %s, %v", through, err)
	}
	snapshot := click.Snapshot{Window: l.start, Version: 1}
	if err := fresh.conn.Exec(fresh.flushContext(t.Context(), snapshot, click.FirstFlush), vanishedQuery); err != nil {
		t.Error(err)
	}
}
