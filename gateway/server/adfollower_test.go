package server

import (
	"errors"
	"log/slog"
	"testing"

	"clickledger/internal/click"
)

// pausedElsewhere pauses an ad in the store, and nobody tells us of it.
func pausedElsewhere(t *testing.T, store *memoryStore, version uint64) click.Ad {
	t.Helper()
	ad := testAd(1)
	ad.Status, ad.Version = click.AdPaused, version
	if err := errors.Join(store.InsertAds(t.Context(), []click.Ad{ad}), store.NoteAdChanges(t.Context(), []click.AdChange{{AdID: 1, Version: version}})); err != nil {
		t.Fatal(err)
	}
	return ad
}

func newTestFollower(t *testing.T) (*AdFollower, *Ads, *memoryCache, *memoryStore) {
	t.Helper()
	ads, cache, store := newTestAds(t)
	store.ads[1] = testAd(1)
	if _, err := ads.Get(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return NewAdFollower(ads, store, slog.New(slog.DiscardHandler)), ads, cache, store
}

func TestAChangeNobodyToldOfIsFoundInTheStore(t *testing.T) {
	for name, away := range map[string]bool{"the cache has the old row": false, "the cache is away": true} {
		t.Run(name, func(t *testing.T) {
			follower, ads, cache, store := newTestFollower(t)
			follower.Follow(t.Context())
			cache.setAway(away)
			want := pausedElsewhere(t, store, 2)
			follower.Follow(t.Context())
			if ad, err := ads.Get(t.Context(), 1); err != nil || ad != want {
				t.Errorf("%+v, %v", ad, err)
			}
		})
	}
}

// The gateway that made a change while the cache was away died with it; an old
// row is left in the cache.
func TestACacheThatWasLostIsToldWhatItMayHaveMissed(t *testing.T) {
	follower, ads, cache, store := newTestFollower(t)
	want := pausedElsewhere(t, store, 2)
	cache.setAway(true)
	follower.Follow(t.Context())
	cache.setAway(false)
	follower.Changed(nil)
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != want {
		t.Errorf("an old row of the cache won: %+v, %v", ad, err)
	}
	follower.Follow(t.Context())
	if row, err := cache.Get(t.Context(), 1); err != nil || row != want {
		t.Errorf("the cache still has %+v, %v", row, err)
	}
}

func TestAChangeIsReadOnceAndEachNewerOneAgain(t *testing.T) {
	follower, ads, _, store := newTestFollower(t)
	pausedElsewhere(t, store, 2)
	follower.Follow(t.Context())
	before := store.readCount()
	follower.Follow(t.Context())
	if reads := store.readCount() - before; reads != 1 {
		t.Errorf("nothing was changed, and the store was asked %d times", reads)
	}
	store.changes = nil // a note is of one change of the ad: the newest
	want := pausedElsewhere(t, store, 3)
	follower.Follow(t.Context())
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != want {
		t.Errorf("%+v, %v", ad, err)
	}
}

func TestAWordOfManyChangesHasEveryAdLookedUpAgain(t *testing.T) {
	follower, ads, cache, store := newTestFollower(t)
	follower.Follow(t.Context())
	changed := testAd(1)
	changed.LandingURL, changed.Version = "https://imported.example.com/", 2
	if err := errors.Join(cache.Put(t.Context(), changed), store.NoteAdChanges(t.Context(), []click.AdChange{{Version: 2}})); err != nil {
		t.Fatal(err)
	}
	follower.Follow(t.Context())
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != changed {
		t.Errorf("%+v, %v", ad, err)
	}
}

func TestAStoreThatIsAwayIsAskedAgainForAllOfIt(t *testing.T) {
	follower, ads, _, store := newTestFollower(t)
	follower.Follow(t.Context())
	want := pausedElsewhere(t, store, 2)
	store.goAway()
	follower.Follow(t.Context())
	store.mu.Lock()
	store.away = false
	store.mu.Unlock()
	follower.Follow(t.Context())
	if ad, err := ads.Get(t.Context(), 1); err != nil || ad != want {
		t.Errorf("%+v, %v", ad, err)
	}
}
