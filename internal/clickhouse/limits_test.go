package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

const limitRows = 200_000

// limitedStore has figures of 200,000 ads of advertiser 7 in one minute, as many
// fresh clicks of it in another, and a hundred of advertiser 8.
func limitedStore(t *testing.T) config.Config {
	t.Helper()
	c := stacktest.Config(t)
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	execute(t, c, []string{
		fmt.Sprintf("INSERT INTO clicks_per_minute SELECT 7, number + 1, %d, 1, 1 FROM numbers(%d)", minuteOf(0).Unix(), limitRows),
		fmt.Sprintf("INSERT INTO clicks_per_minute SELECT 8, number + 1, %d, 1, 1 FROM numbers(100)", minuteOf(0).Unix()),
		clickRows(7, 1, 1, limitRows),
	})
	return c
}

func TestAQuestionThatReadsTooMuchIsRefused(t *testing.T) {
	c := limitedStore(t)
	c.ReportRowsMax = limitRows / 2
	store := opened(t, c)
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(2), ByAd: true, RowsMax: 10}
	for name, ask := range map[string]func() error{
		"figures": func() error { _, _, err := store.SealedFigures(t.Context(), q); return err },
		"fresh":   func() error { _, err := store.FreshFigures(t.Context(), q); return err },
		"top ads": func() error { _, _, err := store.TopAds(t.Context(), q, minuteOf(2)); return err },
		"pages": func() error {
			_, err := store.ReportedAds(t.Context(), q, minuteOf(2), minuteOf(2), 0)
			return err
		},
	} {
		if err := ask(); !errors.Is(err, click.ErrTooManyRows) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What the key leaves out is not counted: another advertiser's figures.
	q.AdvertiserID = 8
	if got, _, err := store.SealedFigures(t.Context(), q); err != nil || len(got) != 10 {
		t.Errorf("another's question: %v, %v", got, err)
	}
	c.ReportRowsMax = 3 * limitRows
	q.AdvertiserID = 7
	if got, _, err := opened(t, c).SealedFigures(t.Context(), q); err != nil || len(got) != 10 {
		t.Errorf("within the limit: %v, %v", got, err)
	}
}

func TestAQuestionThatTakesTooMuchMemoryIsToldFromAServerThatHasNone(t *testing.T) {
	c := limitedStore(t)
	c.ReportMemoryBytesMax = 8 << 20
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(2), ByAd: true, RowsMax: limitRows}
	if _, _, err := opened(t, c).SealedFigures(t.Context(), q); !errors.Is(err, click.ErrTooMuchMemory) || errors.Is(err, click.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAQuestionEndsWithItsCaller(t *testing.T) {
	store := opened(t, limitedStore(t))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	q := clickhouse.ReportQuery{AdvertiserID: 7, From: minuteOf(0), To: minuteOf(2), RowsMax: 10}
	if _, _, err := store.SealedFigures(over, q); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
}
