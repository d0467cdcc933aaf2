package clickhouse_test

import (
	"crypto/rand"
	"reflect"
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestFanOutAndOwnersChangesDoNotUndoEachOther(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	if err := store.InsertAds(ctx, []click.Ad{someAd(1), someAd(2)}); err != nil {
		t.Fatal(err)
	}
	read, err := store.Ad(ctx, 1) // by a change that is overtaken by the raise
	if err != nil {
		t.Fatal(err)
	}
	raise := []click.FanOut{{AdID: 1, AdvertiserID: 7, FanOut: click.FanOutHot, Version: 1000}}
	for range 2 { // an activity that is tried again writes again
		if err := store.SetFanOuts(ctx, raise); err != nil {
			t.Fatal(err)
		}
	}
	read.LandingURL, read.Version = "https://example.com/new", 2000
	if err := store.InsertAds(ctx, []click.Ad{read}); err != nil {
		t.Fatal(err)
	}
	want := read
	want.FanOut, want.FanOutVersion = click.FanOutHot, 1000
	if got, err := store.Ad(ctx, 1); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if hot, err := store.HotAds(ctx); err != nil || !reflect.DeepEqual(hot, raise) {
		t.Errorf("hot ads %+v, %v; want %+v", hot, err, raise)
	}

	lower := []click.FanOut{{AdID: 1, AdvertiserID: 7, FanOut: click.FanOutCold, Version: 3000}}
	for _, rows := range [][]click.FanOut{lower, raise} { // a late repeat of the raise changes nothing
		if err := store.SetFanOuts(ctx, rows); err != nil {
			t.Fatal(err)
		}
	}
	want.FanOut, want.FanOutVersion = click.FanOutCold, 3000
	if got, err := store.Ad(ctx, 1); err != nil || got != want {
		t.Errorf("lowered: got %+v, %v; want %+v", got, err, want)
	}
	if hot, err := store.HotAds(ctx); err != nil || len(hot) != 0 {
		t.Errorf("lowered: hot ads %+v, %v", hot, err)
	}
	if got, err := store.Ad(ctx, 2); err != nil || got != someAd(2) {
		t.Errorf("another ad: %+v, %v", got, err)
	}
}

func TestLoadOfAdsIsThatOfTheirBusiestMinute(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	minute := time.Now().UTC().Truncate(time.Minute)
	var clicks []click.Placed
	add := func(ad int64, at time.Time, count int) {
		for range count {
			id, err := click.NewImpressionID(at, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			clicks = append(clicks, click.Placed{
				Click:    click.Click{AdID: ad, AdvertiserID: 7, Impression: id, ClickedAt: at},
				Position: click.Position{Offset: int64(len(clicks))},
			})
		}
	}
	add(1, minute.Add(-2*time.Minute), 30)
	add(1, minute.Add(-time.Minute), 50)
	add(2, minute.Add(-time.Minute), 20)
	add(3, minute.Add(-time.Minute), 9)     // below what is asked for
	add(4, minute.Add(-20*time.Minute), 99) // too long ago
	if err := store.InsertClicks(ctx, clicks); err != nil {
		t.Fatal(err)
	}
	loads, busiest, err := store.LoadOfAds(ctx, minute.Add(-10*time.Minute), 10)
	want := []click.AdLoad{{AdID: 1, AdvertiserID: 7, Clicks: 50}, {AdID: 2, AdvertiserID: 7, Clicks: 20}}
	if err != nil || !reflect.DeepEqual(loads, want) || busiest != 79 {
		t.Errorf("loads %+v, busiest %d, %v; want %+v and 79", loads, busiest, err, want)
	}
}

func TestLoadOfAdsOfAnEmptyStoreIsNone(t *testing.T) {
	loads, busiest, err := catalogueStore(t).LoadOfAds(t.Context(), time.Now(), 1)
	if err != nil || len(loads) != 0 || busiest != 0 {
		t.Errorf("loads %+v, busiest %d, %v", loads, busiest, err)
	}
}
