package clickhouse_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"clickledger/internal/clickhouse"
)

func TestTopAdsAddUpWhatIsSealedAndWhatIsNot(t *testing.T) {
	store := reportStoreWith(t,
		figureRow(7, 1, 0, 3, 1), figureRow(7, 2, 0, 5, 1), figureRow(7, 0, 0, 8, 1), figureRow(7, 3, 1, 0, 1), figureRow(8, 9, 0, 90, 1),
		clickRows(7, 1, 5, 4), clickRows(7, 4, 6, 5), clickRows(7, 5, 30, 50), clickRows(8, 9, 5, 9),
		fmt.Sprintf("INSERT INTO restatements VALUES (7, 6, %d, 1, now64(6), 1, 0, 'late'), (7, 10, %[1]d, 1, now64(6), 2, 2, 'late')", minuteOf(1).Unix()),
		fmt.Sprintf("INSERT INTO clicks_filtered VALUES (%d, 7, 7, 'expired', generateUUIDv4(), 1, 0), (%d, 7, 8, 'expired', generateUUIDv4(), 1, 0)",
			minuteOf(0).Unix(), minuteOf(7).Unix()),
	)
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(10), RowsMax: 3}
	for _, sealed := range []time.Time{minuteOf(3), minuteOf(5)} {
		got, _, err := store.TopAds(t.Context(), q, sealed)
		wantFigures(t, got, err, clickhouse.Figure{AdID: 1, Start: minuteOf(0), Clicks: 7},
			clickhouse.Figure{AdID: 2, Start: minuteOf(0), Clicks: 5}, clickhouse.Figure{AdID: 4, Start: minuteOf(0), Clicks: 5})
	}
	q.RowsMax = 10
	got, _, err := store.TopAds(t.Context(), q, minuteOf(0)) // nothing is sealed
	wantFigures(t, got, err, clickhouse.Figure{AdID: 4, Start: minuteOf(0), Clicks: 5}, clickhouse.Figure{AdID: 1, Start: minuteOf(0), Clicks: 4})

	ads, err := store.ReportedAds(t.Context(), q, minuteOf(3), minuteOf(5), 0)
	if err != nil || !slices.Equal(ads, []int64{1, 2, 4, 6, 8}) { // 7's filtered clicks are too old to be told
		t.Errorf("reported ads are %v: %v", ads, err)
	}
	q.RowsMax = 2
	ads, err = store.ReportedAds(t.Context(), q, minuteOf(3), minuteOf(5), 2)
	if err != nil || !slices.Equal(ads, []int64{4, 6}) {
		t.Errorf("behind ad 2 are %v: %v", ads, err)
	}
}
