package server

import (
	"context"
	"errors"
	"sync"
	"testing"

	"clickledger/internal/click"
)

func newTestAds(t *testing.T) (*Ads, *memoryCache, *memoryStore) {
	t.Helper()
	cache, store := &memoryCache{rows: map[int64]click.Ad{}}, newMemoryStore()
	ads, err := NewAds(cache, store, testAdsBytes)
	if err != nil {
		t.Fatal(err)
	}
	return ads, cache, store
}

func TestKnownAdIsLookedUpOnce(t *testing.T) {
	ads, cache, store := newTestAds(t)
	store.ads[1] = testAd(1)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if ad, err := ads.Get(t.Context(), 1); err != nil || ad != testAd(1) {
				t.Errorf("%+v, %v", ad, err)
			}
		})
	}
	wait.Wait()
	if n := store.readCount(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	if row, err := cache.Get(t.Context(), 1); err != nil || row != testAd(1) {
		t.Errorf("the shared cache was not filled: %v", err)
	}
}

func TestChangeTakesEffectAtTheNextLookUp(t *testing.T) {
	ads, cache, store := newTestAds(t)
	store.ads[1] = testAd(1)
	if _, err := ads.Get(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	changed := testAd(1)
	changed.Status, changed.Version = click.AdPaused, 2
	if err := cache.Put(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	ads.Changed([]int64{1})
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != changed {
		t.Errorf("%+v, %v", ad, err)
	}
}

func TestUnknownAdIsKnownOnceItsCreationIsHeardOf(t *testing.T) {
	ads, _, store := newTestAds(t)
	for range 2 {
		if _, err := ads.Get(t.Context(), 1); !errors.Is(err, click.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if n := store.readCount(); n != 1 {
		t.Errorf("the store was asked %d times for an unknown ad", n)
	}
	store.ads[1] = testAd(1)
	ads.Changed([]int64{1})
	if _, err := ads.Get(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func TestKnownAdIsServedStaleWhileNothingCanBeAsked(t *testing.T) {
	ads, cache, store := newTestAds(t)
	store.ads[1] = testAd(1)
	if _, err := ads.Get(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cache.setAway(true)
	store.goAway()
	ads.Changed(nil)
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != testAd(1) {
		t.Errorf("a known ad: %v", err)
	}
	if _, err := ads.Get(t.Context(), 2); !errors.Is(err, click.ErrUnavailable) || errors.Is(err, click.ErrNotFound) {
		t.Errorf("an unknown ad: %v", err)
	}
	asked := store.readCount()
	if _, err := ads.Get(t.Context(), 1); err != nil || store.readCount() != asked {
		t.Errorf("the store was asked again at once: %v", err)
	}
}

func TestMissedChangesAreFoundAfterAnOutage(t *testing.T) {
	ads, cache, store := newTestAds(t)
	store.ads[1] = testAd(1)
	if _, err := ads.Get(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	changed := testAd(1)
	changed.LandingURL, changed.Version = "https://new.example.com/", 2
	if err := cache.Put(t.Context(), changed); err != nil { // not told to us
		t.Fatal(err)
	}
	ads.Changed(nil)
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != changed {
		t.Errorf("%+v, %v", ad, err)
	}
}

// overtaken is a store whose answer is overtaken by a change.
type overtaken struct {
	ads  *Ads
	once sync.Once
}

func (o *overtaken) Ad(_ context.Context, id int64) (click.Ad, error) {
	ad := testAd(id)
	ad.Version = 2
	o.once.Do(func() {
		o.ads.Changed([]int64{id}) // the change is heard of after the old row was read
		ad.Version = 1
	})
	return ad, nil
}

func TestLookUpOvertakenByAChangeIsNotKept(t *testing.T) {
	store := &overtaken{}
	ads, err := NewAds(&memoryCache{away: true, rows: map[int64]click.Ad{}}, store, testAdsBytes)
	if err != nil {
		t.Fatal(err)
	}
	store.ads = ads
	if _, err := ads.Get(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad.Version != 2 {
		t.Errorf("the old row was kept: %+v, %v", ad, err)
	}
}

func TestWrittenAdWinsHereEvenIfTheSharedCacheIsAway(t *testing.T) {
	ads, cache, _ := newTestAds(t)
	if err := cache.Put(t.Context(), testAd(1)); err != nil {
		t.Fatal(err)
	}
	changed := testAd(1)
	changed.Status, changed.Version = click.AdPaused, 2
	cache.setAway(true)
	if err := ads.Publish(t.Context(), changed); err == nil {
		t.Error("no word of the shared cache being away")
	}
	cache.setAway(false)
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != changed {
		t.Errorf("%+v, %v", ad, err)
	}
}
