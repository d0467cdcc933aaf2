package clickhouse

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

const beforeSteps = 14

// rowsOf tells whether two states of the remade tables are the same.
func rowsOf(t *testing.T, db *sql.DB) (all []string) {
	t.Helper()
	for _, r := range steppedTables() {
		var sum string
		if err := db.QueryRowContext(t.Context(), "SELECT concat(toString(count()), ' ', toString(sum(cityHash64(*)))) FROM "+r.local()+" FINAL").Scan(&sum); err != nil {
			t.Fatal(err)
		}
		all = append(all, r.table+" "+sum)
	}
	return all
}

func wantMadeWith(t *testing.T, db *sql.DB, codec string, parts ...string) {
	t.Helper()
	for _, r := range steppedTables() {
		engine, err := engineOf(t.Context(), db, r.local())
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range append(parts, "min_age_to_force_merge_seconds = 86400", "fsync_after_insert = 1") {
			if !strings.Contains(engine, part) {
				t.Errorf("%s has not %s: %s", r.table, part, engine)
			}
		}
		var columns uint64
		err = db.QueryRowContext(t.Context(), `SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = ?
			AND compression_codec LIKE ?`, r.local(), "%"+codec+"%").Scan(&columns)
		if err != nil {
			t.Fatal(err)
		}
		if r.versioned && columns != 5 {
			t.Errorf("%d columns of %s are compressed with %s, want all 5", columns, r.table, codec)
		}
	}
}

func TestTablesWithSmallStepsHaveTheSameRows(t *testing.T) {
	db, provider := oldMinutes(t)
	if _, err := provider.UpTo(t.Context(), beforeSteps); err != nil {
		t.Fatal(err)
	}
	for table, period := range map[string]string{"hour": "toStartOfHour", "day": "toStartOfDay", "week": "toMonday", "month": "toStartOfMonth"} {
		do(t, db, fmt.Sprintf(`INSERT INTO clicks_per_%s_local SELECT advertiser_id, ad_id, toDateTime(%s(minute, 'UTC'), 'UTC') AS of, sum(clicks), 7
			FROM clicks_per_minute_local FINAL GROUP BY advertiser_id, ad_id, of`, table, period))
	}
	want := rowsOf(t, db)
	for _, up := range []bool{true, false, true} {
		if _, err := provider.ApplyVersion(t.Context(), beforeSteps+1, up); err != nil {
			t.Fatal(err)
		}
		if got := rowsOf(t, db); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("remade (%v) there are %v, were %v", up, got, want)
		}
		if up {
			wantMadeWith(t, db, "LZ4", smallSteps, "min_compress_block_size = 4096")
		} else {
			wantMadeWith(t, db, "ZSTD", wideSteps)
		}
	}
}
