package clickhouse

import (
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestQueriesOfUnsealedRestatedAndFilteredPointsAreTheGoldenOnes(t *testing.T) {
	from := time.Date(2026, 10, 31, 22, 50, 0, 0, time.UTC)
	q := ReportQuery{
		AdvertiserID: 7, AdIDs: []int64{1, 2}, ByAd: true, From: from, To: from.Add(time.Hour),
		Starts: []time.Time{from, from.Add(10 * time.Minute)}, RowsMax: 50_001,
	}
	query, _ := freshFiguresSQL(q)
	golden(t, "fresh_hours_by_ad", query)
	query, _ = restatedPointsSQL(q)
	golden(t, "restated_hours_by_ad", query)
	query, _ = filteredFiguresSQL(q)
	golden(t, "filtered_hours_by_ad", query)
	query, _ = filteredWithoutCopiesSQL(q)
	golden(t, "filtered_without_copies", query)
	golden(t, "parts", partsSQL())
	q.AdIDs, q.ByAd, q.Starts = nil, false, nil
	query, _ = freshFiguresSQL(q)
	golden(t, "fresh_minutes", query)
	query, _ = restatedPointsSQL(q)
	golden(t, "restated_minutes", query)
}

func TestQueriesOfThePastAreTheGoldenOnes(t *testing.T) {
	from := time.Date(2026, 10, 31, 22, 50, 0, 0, time.UTC)
	asOf := time.Date(2026, 11, 5, 12, 0, 0, 123_456_000, time.UTC)
	q := ReportQuery{AdvertiserID: 7, AdIDs: []int64{1, 2}, ByAd: true, From: from, To: from.AddDate(0, 0, 3), Starts: []time.Time{from}, RowsMax: 50_001}
	undone := map[click.Day]bool{click.DayOf(from).Add(1): true}
	pieces := click.PlanRead(q.From, q.To, q.Starts, func(_ click.Level, d click.Day) bool { return !undone[d] })
	query, _ := asOfFiguresSQL(q, pieces, asOf)
	golden(t, "as_of_figures", query)
	golden(t, "as_of_restated", restatedAsOfSQL(q, asOf))
	golden(t, "as_of_undone_days", undoneDaysSQL(q, asOf))
	golden(t, "as_of_restatement_set", restatementSetSQL(q))
	q.AdIDs = nil
	query, _ = reportedAdsAsOfSQL(q, pieces, asOf, 5)
	golden(t, "as_of_reported_ads", query)
	golden(t, "as_of_prefix", asOfPrefixQuery[1:])
	golden(t, "corrections_list", correctionsListSQL(CorrectionsQuery{
		AdvertiserID: 7, AdIDs: []int64{1, 2}, From: from, To: from.AddDate(0, 0, 3), Since: asOf.Add(-time.Hour), AsOf: asOf,
		After: click.Correction{AdID: 1, Minute: from, ReplacedVersion: 9}, RowsMax: 101,
	}))
}
