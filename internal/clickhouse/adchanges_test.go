package clickhouse_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestNotesOfChangesAreReadFromWhereTheLastReadingWas(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	changes, asked, err := store.AdChanges(ctx, time.Time{}, time.Hour)
	if err != nil || len(changes) != 0 || time.Since(asked).Abs() > time.Minute {
		t.Fatalf("at first %+v, %v, %v", changes, asked, err)
	}
	for _, c := range []click.AdChange{{AdID: 5, Version: 10}, {AdID: 5, Version: 12}, {AdID: 5, Version: 11}} {
		if err := store.NoteAdChanges(ctx, []click.AdChange{c}); err != nil {
			t.Fatal(err)
		}
	}
	want := []click.AdChange{{AdID: 5, Version: 12}} // the newest of each ad
	for _, since := range []time.Time{{}, asked} {
		changes, later, err := store.AdChanges(ctx, since, time.Minute)
		if err != nil || !reflect.DeepEqual(changes, want) || !later.After(asked) {
			t.Errorf("since %v: %+v, asked at %v, %v", since, changes, later, err)
		}
	}
	if changes, _, err := store.AdChanges(ctx, time.Now().Add(time.Hour), time.Minute); err != nil || len(changes) != 0 {
		t.Errorf("later there is %+v, %v", changes, err)
	}
}

func TestManyAdsAreReadAsTheyAreOneByOne(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	var ads []click.Ad
	for id := int64(1); id <= 20; id++ {
		ads = append(ads, someAd(id))
	}
	changed := someAd(3)
	changed.Status, changed.Version = click.AdPaused, 11
	err := errors.Join(store.InsertAds(ctx, []click.Ad{changed}), store.InsertAds(ctx, ads),
		store.SetFanOuts(ctx, []click.FanOut{{AdID: 4, AdvertiserID: 7, FanOut: click.FanOutHot, Version: 1000}}))
	if err != nil {
		t.Fatal(err)
	}
	var want []click.Ad
	for _, id := range []int64{3, 4, 5} {
		ad, err := store.Ad(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, ad)
	}
	if got, err := store.AdsByID(ctx, []int64{5, 4, 3, 99}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("by id: %+v, %v; want %+v", got, err, want)
	}
	if got, err := store.AdsBehind(ctx, 2, 3); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("behind 2: %+v, %v; want %+v", got, err, want)
	}
	if got, err := store.AdsBehind(ctx, 20, 3); err != nil || len(got) != 0 {
		t.Errorf("behind the last: %+v, %v", got, err)
	}
}
