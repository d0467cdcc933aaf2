package clickhouse

import (
	"context"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/stacktest"
)

func TestATableOfAClusterOfOneIsAnAliasAndCanBeDistributedAgain(t *testing.T) {
	c := stacktest.Config(t)
	if err := Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return DropDatabase(ctx, c) })
	db := ch.OpenDB(options(c, c.Database()))
	t.Cleanup(func() { _ = db.Close() })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// engines is how many of the tables that programs name have an engine, and
	// counts the rows that are seen through one of them.
	engines := func(want string, count, rows int) {
		t.Helper()
		must(execDB(t.Context(), db, "INSERT INTO ad_changes (ad_id, version) VALUES (1, 1)")) // its time is a default
		var got, seen, dated int
		must(db.QueryRowContext(t.Context(), "SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine = ?", want).Scan(&got))
		must(db.QueryRowContext(t.Context(), "SELECT count(), countIf(changed_at > now() - 60) FROM ad_changes").Scan(&seen, &dated))
		if got != count {
			t.Errorf("%d tables are %s, want %d", got, want, count)
		}
		if seen != rows || dated != rows {
			t.Errorf("%s: %d rows are seen, %d of them dated, not %d", want, seen, dated, rows)
		}
	}
	tables, err := namedTables()
	must(err)
	alone := 0 // all of one shard; else those of the home shard
	for _, table := range tables {
		if len(c.ClickHouseAddrs) == 1 || table.cluster == "clickledger_home" {
			alone++
		}
	}
	engines("Alias", alone, 1)
	must(layApart(t.Context(), db))
	engines("Distributed", len(tables), 2)
	must(Migrate(t.Context(), c)) // nothing is missing, and they are laid out
	engines("Alias", alone, 3)
}

func TestEveryTableBehindIsNamedInFront(t *testing.T) {
	tables, err := namedTables()
	if err != nil {
		t.Fatal(err)
	}
	clusters := map[string]int{}
	for _, table := range tables {
		clusters[table.cluster]++
	}
	if len(clusters) != 2 || clusters["clickledger"] < 8 || clusters["clickledger_home"] < 10 {
		t.Errorf("tables by cluster: %v", clusters)
	}
}
