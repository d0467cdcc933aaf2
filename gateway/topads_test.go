package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "clickledger/proto/gen/clickledger/v1"
)

// Top ads, pages and the series of the sum tell the same, whatever is sealed
// and rolled up of the range.
func TestTopAdsAndPagesAddUpToTheTotal(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHistory(t, startGateways(t, 1)[0], random)
	for range 4 {
		from := h.from.Add(time.Duration(random.IntN(9*24*60)) * time.Minute)
		in := &v1.QueryClicksRequest{
			AdvertiserId: h.ad.GetAdvertiserId(), StartTime: timestamppb.New(from), EndTime: timestamppb.New(h.to), Granularity: v1.Granularity_GRANULARITY_DAY,
		}
		whole, err := h.reports.QueryClicks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		in.GroupByAd, in.PageSize = true, 1
		page, err := h.reports.QueryClicks(t.Context(), in)
		if err != nil || page.GetNextPageToken() != "" || page.GetTotalClicks() != whole.GetTotalClicks() || len(page.GetPoints()) != len(whole.GetPoints()) {
			t.Errorf("a page has %d clicks in %d points, next %q, the whole %d in %d: %v", page.GetTotalClicks(), len(page.GetPoints()),
				page.GetNextPageToken(), whole.GetTotalClicks(), len(whole.GetPoints()), err)
		}
		top, err := h.reports.TopAds(t.Context(), &v1.TopAdsRequest{AdvertiserId: in.GetAdvertiserId(), StartTime: in.GetStartTime(), EndTime: in.GetEndTime()})
		if err != nil || len(top.GetAds()) != 1 || top.GetAds()[0].GetAdId() != h.ad.GetAdId() || top.GetAds()[0].GetClicks() != whole.GetTotalClicks() {
			t.Errorf("the top ads are %v, want one with %d clicks: %v", top, whole.GetTotalClicks(), err)
		}
	}
}
