package clickhouse_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// catalogueStore is a migrated store of its own on the real server.
func catalogueStore(t *testing.T) *clickhouse.Store {
	t.Helper()
	c := stacktest.Config(t)
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	return opened(t, c)
}

func opened(t *testing.T, c config.Config) *clickhouse.Store {
	t.Helper()
	store, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func someAd(id int64) click.Ad {
	return click.Ad{
		ID: id, AdvertiserID: 7, Name: "näme", LandingURL: "https://example.com/?a=1&b='2'",
		Status: click.AdActive, FanOut: 1, Version: 10,
	}
}

func TestNewestVersionOfAnAdIsRead(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	old, changed := someAd(1), someAd(1)
	changed.Status, changed.Version = click.AdPaused, 11
	for _, ads := range [][]click.Ad{{changed}, {old}} { // written in the wrong order
		if err := store.InsertAds(ctx, ads); err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.Ad(ctx, 1)
	if err != nil || got != changed {
		t.Errorf("got %+v, %v; want %+v", got, err, changed)
	}
	if _, err := store.Ad(ctx, 2); !errors.Is(err, click.ErrUnavailable) || errors.Is(err, click.ErrNotFound) {
		t.Errorf("an ad while there is no advertiser: %v", err)
	}
	if err := store.InsertAdvertiser(ctx, click.Advertiser{ID: 7, Name: "A"}, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Ad(ctx, 2); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("an unknown ad: %v", err)
	}
}

func TestAdsOfAnAdvertiserComeInPagesByID(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	foreign := someAd(3)
	foreign.AdvertiserID = 8
	again := someAd(2)
	again.Name, again.Version = "again", 12
	if err := store.InsertAds(ctx, []click.Ad{someAd(4), someAd(1), someAd(2), foreign}); err != nil {
		t.Fatal(err)
	}
	if err := store.InsertAds(ctx, []click.Ad{again}); err != nil {
		t.Fatal(err)
	}
	first, err := store.AdsOf(ctx, 7, 0, 2)
	if err != nil || len(first) != 2 || first[0].ID != 1 || first[1] != again {
		t.Fatalf("first page: %+v, %v", first, err)
	}
	second, err := store.AdsOf(ctx, 7, 2, 2)
	if err != nil || len(second) != 1 || second[0].ID != 4 {
		t.Errorf("second page: %+v, %v", second, err)
	}
}

func TestOwnsAdsOnlyIfEveryAdIsTheAdvertisers(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	foreign := someAd(3)
	foreign.AdvertiserID = 8
	if err := store.InsertAds(ctx, []click.Ad{someAd(1), someAd(2), foreign}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ids  []int64
		want bool
	}{{[]int64{1}, true}, {[]int64{1, 2}, true}, {[]int64{1, 3}, false}, {[]int64{1, 99}, false}} {
		if got, err := store.OwnsAds(ctx, 7, c.ids); err != nil || got != c.want {
			t.Errorf("%v: %v, %v", c.ids, got, err)
		}
	}
}

func TestAPIKeySurvivesTheStoreAndItsRevocationWins(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	now := time.Now().UTC().Truncate(time.Millisecond)
	key := click.APIKey{
		ID: 5, Hash: [32]byte{0, 1, 2, 255}, Role: click.RoleAdvertiser, AdvertiserID: 7,
		Name: "k", CreatedAt: now, ExpiresAt: now.Add(time.Hour), Version: 1, CallsPerSecond: 50,
	}
	if err := store.InsertAPIKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	if got, err := store.APIKey(ctx, 5); err != nil || got != key {
		t.Fatalf("got %+v, %v; want %+v", got, err, key)
	}
	key.RevokedAt, key.Version = now, 2
	if err := store.InsertAPIKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	for _, advertiser := range []int64{0, 7} {
		if keys, err := store.APIKeys(ctx, advertiser, 0, 10); err != nil || len(keys) != 1 || keys[0] != key {
			t.Errorf("keys of %d: %+v, %v", advertiser, keys, err)
		}
	}
	if keys, err := store.APIKeys(ctx, 8, 0, 10); err != nil || len(keys) != 0 {
		t.Errorf("another advertiser's keys: %+v, %v", keys, err)
	}
}

func TestAdvertiserExistsOnceWritten(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	if err := store.InsertAdvertiser(ctx, click.Advertiser{ID: 7, Name: "a"}, 1); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int64]bool{7: true, 8: false} {
		if got, err := store.AdvertiserExists(ctx, id); err != nil || got != want {
			t.Errorf("%d: %v, %v", id, got, err)
		}
	}
}

func TestAwayOrEmptyStoreIsUnavailable(t *testing.T) {
	c := stacktest.Config(t) // its database was never made
	if _, err := opened(t, c).Ad(t.Context(), 1); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("without a schema: %v", err)
	}
	c.ClickHouseAddrs = []string{"127.0.0.1:1"}
	if _, err := opened(t, c).Ad(t.Context(), 1); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}
