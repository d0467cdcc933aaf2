package clickhouse_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
)

// all collects what is visited, by order of less.
func all[T any](t *testing.T, each func(context.Context, func(T) error) error) []T {
	t.Helper()
	var rows []T
	if err := each(t.Context(), func(row T) error { rows = append(rows, row); return nil }); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestOfEachKeyTheNewestRowIsExported(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	at := time.Date(2026, 11, 25, 10, 5, 0, 123_456_000, time.UTC)
	old, changed := someAd(1), someAd(1)
	changed.Status, changed.LandingURL, changed.Version = click.AdPaused, "https://example.com/new", 11
	for _, ads := range [][]click.Ad{{changed}, {old}} { // written in the wrong order
		if err := store.InsertAds(ctx, ads); err != nil {
			t.Fatal(err)
		}
	}
	if got := all(t, store.EachAd); !slices.Equal(got, []click.Ad{changed}) {
		t.Errorf("ads %+v", got)
	}
	key := click.APIKey{ID: 5, Hash: [32]byte{0, 1, 255}, Role: click.RoleAdvertiser, AdvertiserID: 7, Name: "key", CreatedAt: at.Truncate(time.Millisecond), Version: 1}
	revoked := key
	revoked.RevokedAt, revoked.ExpiresAt, revoked.Version = at.Truncate(time.Second), at.Truncate(time.Hour), 2
	if err := store.InsertAPIKeys(ctx, []click.APIKey{revoked, key}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, store.EachAPIKey); !slices.Equal(got, []click.APIKey{revoked}) {
		t.Errorf("keys %+v", got)
	}
	advertiser := click.AdvertiserRow{Advertiser: click.Advertiser{ID: 7, Name: "A"}, Version: 3}
	if err := store.InsertAdvertisers(ctx, []click.AdvertiserRow{advertiser}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, store.EachAdvertiser); !slices.Equal(got, []click.AdvertiserRow{advertiser}) {
		t.Errorf("advertisers %+v", got)
	}
	fanOut := click.FanOut{AdID: 1, AdvertiserID: 7, FanOut: 240, Version: 9}
	if err := store.SetFanOuts(ctx, []click.FanOut{fanOut}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, store.EachFanOut); !slices.Equal(got, []click.FanOut{fanOut}) {
		t.Errorf("fan-outs %+v", got)
	}
	restatement := click.Restatement{AdvertiserID: 7, AdID: 0, Minute: at.Truncate(time.Minute), ReplacedVersion: 1 << 63, At: at, Before: 1, After: 2, Reason: "late"}
	for range 2 { // the same again is one
		if err := store.InsertRestatements(ctx, []click.Restatement{restatement}); err != nil {
			t.Fatal(err)
		}
	}
	if got := all(t, store.EachRestatement); !slices.Equal(got, []click.Restatement{restatement}) {
		t.Errorf("restatements %+v", got)
	}
	event := click.AuditEvent{ID: 1, At: at, Method: "CatalogService/GetAd", Role: click.RoleAdmin}
	for range 2 {
		if err := store.AddAuditEvent(ctx, event); err != nil {
			t.Fatal(err)
		}
	}
	if got := all(t, store.EachAuditEvent); !slices.Equal(got, []click.AuditEvent{event}) {
		t.Errorf("audit events %+v", got)
	}
	seal := click.SealTime{Minute: at.Truncate(time.Minute), Version: 1 << 63, State: "EARLIER", At: at.Truncate(time.Millisecond)}
	for _, later := range []time.Duration{time.Second, 0, time.Minute} { // entered again: it counts from when it was first
		again := seal
		again.At = seal.At.Add(later)
		if err := store.InsertSeals(ctx, []click.SealTime{again}); err != nil {
			t.Fatal(err)
		}
	}
	if got := all(t, store.EachSeal); !slices.Equal(got, []click.SealTime{seal}) {
		t.Errorf("seals %+v", got)
	}
	for _, table := range click.ExportTables() {
		if rows, err := store.RowsOf(ctx, table); err != nil || rows != 1 {
			t.Errorf("%s has %d rows, %v", table, rows, err)
		}
	}
}

func TestAFaultOfTheVisitorEndsTheRead(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	ads := make([]click.Ad, 10)
	for i := range ads {
		ads[i] = someAd(int64(i + 1))
	}
	if err := store.InsertAds(ctx, ads); err != nil {
		t.Fatal(err)
	}
	fault, visited := errors.New("disk full"), 0
	err := store.EachAd(ctx, func(click.Ad) error { visited++; return fault })
	if !errors.Is(err, fault) || visited != 1 {
		t.Errorf("after %d: %v", visited, err)
	}
	if got := all(t, store.EachAd); len(got) != len(ads) { // the connection is of use still
		t.Errorf("%d ads", len(got))
	}
}
