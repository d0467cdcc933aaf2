package clickhouse_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"clickledger/internal/clickhouse"
)

func wantLive(t *testing.T, what string, got []clickhouse.LiveFigure, err error, want ...clickhouse.LiveFigure) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b clickhouse.LiveFigure) int {
		return cmp.Or(cmp.Compare(a.AdvertiserID, b.AdvertiserID), cmp.Compare(a.AdID, b.AdID), a.Minute.Compare(b.Minute))
	})
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestLiveFiguresAreThoseOfTheSeriesAskedFor(t *testing.T) {
	restated := func(advertiser, ad int64, minute, before, after, version int) string {
		return fmt.Sprintf("INSERT INTO restatements VALUES (%d, %d, %d, 1, fromUnixTimestamp64Micro(%d), %d, %d, 'late')",
			advertiser, ad, minuteOf(minute).Unix(), version, before, after)
	}
	store := reportStoreWith(t,
		figureRow(7, 1, 0, 3, 1), figureRow(7, 2, 0, 4, 1), figureRow(7, 0, 0, 7, 1),
		figureRow(7, 1, 0, 0, 2), figureRow(7, 0, 0, 4, 2), // a figure that vanished
		figureRow(7, 1, 1, 9, 1), figureRow(7, 0, 1, 9, 1),
		figureRow(8, 5, 0, 6, 1), figureRow(8, 6, 0, 7, 1), figureRow(8, 0, 0, 13, 1), figureRow(9, 0, 0, 1, 1),
		clickRows(7, 1, 2, 2), clickRows(7, 2, 2, 3), clickRows(8, 5, 2, 4), clickRows(8, 6, 3, 5), clickRows(9, 9, 2, 1), clickRows(7, 1, 4, 99),
		"INSERT INTO clicks SELECT * FROM clicks", // a redelivered batch
		restated(7, 1, 0, 3, 0, 100), restated(7, 0, 0, 7, 4, 100), restated(7, 0, 1, 9, 9, 200), restated(8, 5, 0, 5, 6, 300), restated(0, 0, 1, 0, 0, 400),
		"INSERT INTO windows (minute, version, state) SELECT "+fmt.Sprint(minuteOf(0).Unix())+" + 60 * number, 50 + number, ['SEALED', 'EARLIER', 'START'][1 + number] FROM numbers(3)",
	)
	q := clickhouse.LiveQuery{
		Sums: []int64{7}, ByAd: []int64{7}, Ads: [][2]int64{{8, 5}}, From: minuteOf(0), To: minuteOf(4), FiguresMax: 10,
	}
	row := func(advertiser, ad int64, minute int, number uint64) clickhouse.LiveFigure {
		return clickhouse.LiveFigure{AdvertiserID: advertiser, AdID: ad, Minute: minuteOf(minute), Number: number}
	}
	got, err := store.LiveFresh(t.Context(), q)
	wantLive(t, "fresh", got, err, row(7, 0, 2, 5), row(7, 1, 2, 2), row(7, 2, 2, 3), row(8, 5, 2, 4))
	got, err = store.LiveSealed(t.Context(), q)
	wantLive(t, "sealed", got, err, row(7, 0, 0, 4), row(7, 0, 1, 9), row(7, 1, 1, 9), row(7, 2, 0, 4), row(8, 5, 0, 6))
	got, err = store.LiveRestated(t.Context(), q)
	wantLive(t, "restated", got, err, row(7, 0, 0, 0), row(7, 1, 0, 0), row(8, 5, 0, 0))
	got, err = store.LiveSeals(t.Context(), q.From, q.To)
	wantLive(t, "seals", got, err, row(0, 0, 0, 50), row(0, 0, 1, 51))
	got, err = store.LiveAnnounced(t.Context(), []int64{7}, q.From, q.To)
	wantLive(t, "announced", got, err, row(0, 0, 1, 400), row(7, 0, 0, 100), row(7, 0, 1, 200))

	q.Minutes = append(q.Minutes, minuteOf(1), minuteOf(3))
	got, err = store.LiveSealed(t.Context(), q)
	wantLive(t, "some minutes", got, err, row(7, 0, 1, 9), row(7, 1, 1, 9))
	q.Minutes, q.FiguresMax, q.Ads = nil, 1, nil
	if got, err = store.LiveFresh(t.Context(), q); err != nil || len(got) != 3 {
		t.Errorf("one figure of an advertiser and one more: %v, %v", got, err)
	}
	if got, err = store.LiveFresh(t.Context(), clickhouse.LiveQuery{From: q.From, To: q.To}); err != nil || len(got) != 0 {
		t.Errorf("nobody: %v, %v", got, err)
	}
}

// As many ads and advertisers as a gateway may have watched at once.
func TestTheLongestLiveQuestionIsAnswered(t *testing.T) {
	store := reportStoreWith(t, clickRows(7, 1, 0, 3), figureRow(7, 1, 1, 3, 1))
	q := clickhouse.LiveQuery{From: minuteOf(0), To: minuteOf(2880), FiguresMax: 50_000}
	for i := range int64(10_000) {
		q.Ads = append(q.Ads, [2]int64{7 + i<<49, 1 + i<<49})
	}
	for i := range int64(1_000) {
		q.Sums, q.ByAd = append(q.Sums, 7+i<<52), append(q.ByAd, 1<<61+i)
	}
	for i := range 2880 {
		q.Minutes = append(q.Minutes, minuteOf(i))
	}
	for what, ask := range map[string]func() ([]clickhouse.LiveFigure, error){
		"fresh":    func() ([]clickhouse.LiveFigure, error) { return store.LiveFresh(t.Context(), q) },
		"sealed":   func() ([]clickhouse.LiveFigure, error) { return store.LiveSealed(t.Context(), q) },
		"restated": func() ([]clickhouse.LiveFigure, error) { return store.LiveRestated(t.Context(), q) },
	} {
		if _, err := ask(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
