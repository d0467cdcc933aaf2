package clickhouse_test

import (
	"math"
	"reflect"
	"testing"

	"clickledger/internal/click"
)

// stagedRow is a row of an import of an ad of advertiser 7.
func stagedRow(row, ad int64) click.AdRow {
	r := click.NewAdRow(row)
	r.Ad.ID, r.Ad.AdvertiserID, r.Ad.Name, r.Ad.LandingURL = ad, 7, "näme", "https://example.com/"
	return r
}

func TestSlicesOfAnImportTogetherHaveEveryStagedAdOnce(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	if err := store.InsertAdvertiser(ctx, click.Advertiser{ID: 7, Name: "A"}, 1); err != nil {
		t.Fatal(err)
	}
	var rows []click.AdRow
	for i := range int64(10) {
		rows = append(rows, stagedRow(i+1, 100-i))
	}
	rows = append(rows, stagedRow(11, 95), stagedRow(12, 95), stagedRow(13, math.MaxInt64))
	for range 2 { // staged again by another attempt
		if err := store.StageAds(ctx, "a", rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.StageAds(ctx, "another", []click.AdRow{stagedRow(1, 1)}); err != nil {
		t.Fatal(err)
	}
	judged, repeats := map[int64]click.JudgedAd{}, []click.AdRepeat(nil)
	for after, last := int64(0), false; !last; {
		slice, err := store.NextAdSlice(ctx, "a", after, 4)
		if err != nil || slice.Through <= after && !slice.Last {
			t.Fatalf("behind %d: %+v, %v", after, slice, err)
		}
		err = store.JudgeAds(ctx, slice, 5, func(ad click.JudgedAd) {
			if _, twice := judged[ad.AdID]; twice {
				t.Errorf("ad %d is in two slices", ad.AdID)
			}
			judged[ad.AdID] = ad
		})
		if err != nil {
			t.Fatal(err)
		}
		found, err := store.RepeatedAds(ctx, slice)
		if err != nil {
			t.Fatal(err)
		}
		repeats = append(repeats, found...)
		after, last = slice.Through, slice.Last
	}
	if want := []click.AdRepeat{{AdID: 95, Rows: []int64{6, 11, 12}}}; len(judged) != 11 || !reflect.DeepEqual(repeats, want) {
		t.Errorf("judged %d ads, repeated are %+v", len(judged), repeats)
	}
	for id, want := range map[int64]click.JudgedAd{
		95: {AdID: 95, Row: 6, Repeated: true, Verdict: click.AdCreated}, math.MaxInt64: {AdID: math.MaxInt64, Row: 13, Verdict: click.AdCreated},
	} {
		if judged[id] != want {
			t.Errorf("ad %d was judged %+v, want %+v", id, judged[id], want)
		}
	}
	for range 2 {
		if err := store.DropStagedAds(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	for id, staged := range map[string]bool{"a": false, "another": true} {
		found := false
		slice, err := store.NextAdSlice(ctx, id, 0, 10)
		if err == nil {
			err = store.JudgeAds(ctx, slice, 5, func(click.JudgedAd) { found = true })
		}
		if err != nil || found != staged {
			t.Errorf("import %s: staged %v, %v", id, found, err)
		}
	}
}

func TestEachVerdictIsGivenByWhatIsStored(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	if err := store.InsertAdvertiser(ctx, click.Advertiser{ID: 7, Name: "A"}, 1); err != nil {
		t.Fatal(err)
	}
	const version = 100
	stored := func(id int64, name string, at uint64) click.Ad {
		ad := stagedRow(0, id).Ad
		ad.Name, ad.Version = name, at
		return ad
	}
	foreign := stored(7, "näme", 1)
	foreign.AdvertiserID = 8
	nobodys := stagedRow(6, 6)
	nobodys.Ad.AdvertiserID = 99
	if err := store.InsertAds(ctx, []click.Ad{
		stored(2, "old", 99), stored(3, "näme", 1), stored(4, "näme", version), stored(5, "newer", 101), foreign, stored(8, "näme", 101), stored(9, "other", version),
	}); err != nil {
		t.Fatal(err)
	}
	rows := []click.AdRow{stagedRow(1, 1), stagedRow(2, 2), stagedRow(3, 3), stagedRow(4, 4), stagedRow(5, 5), nobodys, stagedRow(7, 7), stagedRow(8, 8), stagedRow(9, 9)}
	if err := store.StageAds(ctx, "a", rows); err != nil {
		t.Fatal(err)
	}
	slice, err := store.NextAdSlice(ctx, "a", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[int64]click.AdVerdict{}
	judge := func() {
		if err := store.JudgeAds(ctx, slice, version, func(ad click.JudgedAd) { verdicts[ad.AdID] = ad.Verdict }); err != nil {
			t.Fatal(err)
		}
	}
	judge()
	want := map[int64]click.AdVerdict{
		1: click.AdCreated, 2: click.AdUpdated, 3: click.AdUnchanged, 4: click.AdStoredAlready, 5: click.AdNewer, 6: click.AdOfNobody, 7: click.AdOfAnother,
		8: click.AdUnchanged, 9: click.AdNewer, // another file of the very same version
	}
	if !reflect.DeepEqual(verdicts, want) {
		t.Errorf("verdicts are %v, want %v", verdicts, want)
	}
	for range 2 {
		if err := store.StoreAds(ctx, slice, version); err != nil {
			t.Fatal(err)
		}
	}
	judge()
	want[1], want[2] = click.AdStoredAlready, click.AdStoredAlready
	if !reflect.DeepEqual(verdicts, want) {
		t.Errorf("once stored the verdicts are %v, want %v", verdicts, want)
	}
	if n, err := store.RowsOf(ctx, click.ExportAds); err != nil || n != 8 {
		t.Errorf("there are %d ads, %v", n, err)
	}
}
