package clickhouse_test

import (
	"context"
	"slices"
	"testing"

	"clickledger/internal/clickhouse"
	"clickledger/internal/stacktest"
)

func TestTablesKeepAsLongAsTheConfigurationSays(t *testing.T) {
	c := stacktest.Config(t)
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := func(want ...string) {
		t.Helper()
		got, err := clickhouse.EnsureRetention(t.Context(), c)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("changed %v, want %v: %v", got, want, err)
		}
	}
	want() // the defaults are those of the schema
	c.MinutesRetentionDays, c.HoursRetentionDays = 500, 2000
	want("clicks_per_minute", "clicks_per_hour")
	want()
	c.ClicksRetentionDays = 40
	want("clicks", "clicks_progress", "clicks_filtered")
	want()
}
