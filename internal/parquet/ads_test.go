package parquet

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"clickledger/internal/click"
)

// foreign encodes rows as another program would, with its own types.
func foreign[T any](t *testing.T, rows ...T) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := parquet.Write(&file, rows); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

type nullable struct {
	Status       *string `parquet:"status,optional"`
	ID           *int64  `parquet:"ad_id,optional"`
	AdvertiserID string  `parquet:"advertiser_id"`
	Name         *string `parquet:"name,optional"`
	LandingURL   string  `parquet:"landing_url"`
}

func TestAdsOfAnotherProgramAreReadWithTheirNulls(t *testing.T) {
	id, name, paused := int64(5), "a", "PAUSED"
	content := foreign(t,
		nullable{ID: &id, AdvertiserID: "7", Name: &name, LandingURL: "https://example.com/", Status: &paused},
		nullable{ID: &id, AdvertiserID: "7", Name: &name, LandingURL: "https://example.com/"},
		nullable{AdvertiserID: "seven", LandingURL: "https://example.com/"})
	file, err := OpenAds(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var rows []click.AdRow
	if err := file.Each(0, 10, func(row click.AdRow) error { rows = append(rows, row); return nil }); err != nil {
		t.Fatal(err)
	}
	want := click.Ad{ID: 5, AdvertiserID: 7, Name: "a", LandingURL: "https://example.com/", Status: click.AdPaused, FanOut: 1}
	if len(rows) != 3 || rows[0].Ad != want || rows[0].Fault != "" || rows[1].Ad.Status != click.AdActive || rows[2].Fault == "" {
		t.Errorf("the rows are %+v", rows)
	}
}

func TestAFileOfOtherColumnsIsRefused(t *testing.T) {
	type floats struct {
		ID           float64 `parquet:"ad_id"`
		AdvertiserID int64   `parquet:"advertiser_id"`
		Name         string  `parquet:"name"`
		LandingURL   string  `parquet:"landing_url"`
	}
	type lists struct {
		ID           int64    `parquet:"ad_id"`
		AdvertiserID int64    `parquet:"advertiser_id"`
		Name         []string `parquet:"name"`
		LandingURL   string   `parquet:"landing_url"`
	}
	type more struct {
		floats
		Budget int64 `parquet:"budget"`
	}
	for want, content := range map[string][]byte{
		"ad_id is of type DOUBLE": foreign(t, floats{}),
		"is nested":               foreign(t, lists{Name: []string{"a"}}),
		`a column "budget"`:       foreign(t, more{}),
		"as Parquet":              []byte("PAR1 but for the rest"),
	} {
		if _, err := OpenAds(bytes.NewReader(content), int64(len(content))); !errors.Is(err, click.ErrBadFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
