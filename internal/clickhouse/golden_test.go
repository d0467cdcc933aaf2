package clickhouse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clickledger/internal/click"
)

// golden compares a query with the file of that name: whoever changes one sees
// the whole of it. GOLDEN=write writes the files anew.
func golden(t *testing.T, name, query string) {
	t.Helper()
	path := filepath.Join("testdata", name+".sql")
	if os.Getenv("GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(query+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != query+"\n" {
		t.Errorf("the query is not that of %s:\n%s", path, query)
	}
}

func TestRollupQueriesAreTheGoldenOnes(t *testing.T) {
	for _, step := range click.Rollups() {
		golden(t, "rollup_"+string(step.To), rollupSQL(step))
	}
	golden(t, "rollup_zeros", rollupZerosSQL(click.Rollups()[0]))
	golden(t, "rollup_tally", rollupTallySQL(click.PerHour))
}

func TestTheQueryOfTheAuditIsTheGoldenOne(t *testing.T) {
	key, at := int64(5), time.Date(2026, 11, 25, 10, 5, 0, 0, time.UTC)
	query, _ := auditEventsSQL(click.AuditQuery{
		From: at, To: at, KeyID: &key, Method: "CatalogService/UpdateAd", Subject: "ad 7", After: &click.AuditKey{At: at, ID: 9}, Limit: 100,
	})
	golden(t, "audit_events", query)
}

func TestFlushQueriesAreTheGoldenOnes(t *testing.T) {
	for name, query := range map[string]string{"flush_restate": restateQuery, "flush_figures": figuresQuery, "flush_vanished": vanishedQuery} {
		golden(t, name, strings.TrimPrefix(query, "\n"))
	}
}

func TestQueriesOfSealedFiguresAreTheGoldenOnes(t *testing.T) {
	from := time.Date(2026, 10, 31, 22, 50, 0, 0, time.UTC)
	everything := func(click.Level, click.Day) bool { return true }
	days := func(hour int) (starts []time.Time) {
		for at := from; at.Before(from.AddDate(0, 0, 4)); at = at.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(time.Duration(hour) * time.Minute) {
			starts = append(starts, at)
		}
		return starts
	}
	for name, q := range map[string]ReportQuery{
		"sealed_minutes": {From: from, To: from.Add(time.Hour)},
		"sealed_total":   {From: from, To: from.AddDate(0, 0, 50).Add(time.Hour + time.Minute), Starts: []time.Time{from}},
		"sealed_days":    {From: from, To: from.AddDate(0, 0, 3).Truncate(24 * time.Hour), Starts: days(0), AdIDs: []int64{1, 2}},
		// Days of a zone half an hour off: two ranges of each table a day.
		"sealed_days_half_hour": {From: from, To: from.AddDate(0, 0, 3), Starts: days(18*60 + 30), ByAd: true},
	} {
		q.AdvertiserID, q.RowsMax = 7, 50_001
		query, _ := sealedFiguresSQL(q, click.PlanRead(q.From, q.To, q.Starts, everything))
		golden(t, name, query)
	}
	top := ReportQuery{AdvertiserID: 7, From: from, To: from.AddDate(0, 0, 50), ByAd: true, Starts: []time.Time{from}, RowsMax: 10}
	sealed := from.AddDate(0, 0, 49)
	pieces := click.PlanRead(top.From, sealed, top.Starts, everything)
	query, _ := topAdsSQL(top, eachAd(top, pieces, sealed))
	golden(t, "top_ads", query)
	query, _ = adClicksSQL(top, eachAd(top, pieces[:1], sealed))
	golden(t, "ad_clicks", query)
	query, _ = reportedAdsSQL(top, pieces[:1], sealed, sealed, 5)
	golden(t, "reported_ads", query)
	sum := ReportQuery{AdvertiserID: 7, From: from, To: from.AddDate(0, 0, 4), Starts: days(0)}
	query, _ = announcedSQL(sum, "")
	golden(t, "announced", query)
	query, _ = correctionsSQL(sum)
	golden(t, "corrections", query)
}

func TestQueriesOfWhatIsWatchedAreTheGoldenOnes(t *testing.T) {
	from := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	q := LiveQuery{Sums: []int64{7, 8}, ByAd: []int64{7}, Ads: [][2]int64{{9, 1}, {9, 2}}, From: from, To: from.Add(3 * time.Minute), FiguresMax: 50_000}
	golden(t, "live_fresh", liveFreshSQL(q))
	q.Minutes = []time.Time{from, from.Add(2 * time.Minute)}
	golden(t, "live_sealed", liveSealedSQL(q))
	golden(t, "live_restated", liveRestatedSQL(q))
	golden(t, "live_seals", liveSealsSQL(q.From, q.To))
	golden(t, "live_announced", liveAnnouncedSQL([]int64{7, 8, 9}, q.From, q.To))
}
