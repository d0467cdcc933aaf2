package endtoend

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

// filteredTimeout is how long a gateway and the ingester may take to report
// what they did not count, on a busy machine.
const filteredTimeout = 30 * time.Second

// expectGross waits until what the advertisers' reports say was not counted
// since began is as wanted, and what was counted too: gross and net add up.
func expectGross(t *testing.T, began time.Time, all []*client.Advertiser, counted int64, want map[v1.Verdict]int64) {
	t.Helper()
	from := began.UTC().Truncate(time.Minute)
	err := poll.Until(t.Context(), filteredTimeout, askInterval, func(ctx context.Context) error {
		net, filtered, points := int64(0), map[v1.Verdict]int64{}, int64(0)
		for _, advertiser := range all {
			response, err := advertiser.API.Reports.QueryClicks(ctx, &v1.QueryClicksRequest{
				AdvertiserId: advertiser.ID, GroupByAd: true,
				StartTime: timestamppb.New(from), EndTime: timestamppb.New(time.Now().Truncate(time.Minute).Add(time.Minute)),
			})
			if err != nil {
				return err
			}
			net += response.GetTotalClicks()
			for _, reason := range response.GetFilteredByReason() {
				filtered[reason.GetReason()] += reason.GetCount()
			}
			for _, point := range response.GetPoints() {
				points += point.GetFiltered()
			}
			points -= response.GetTotalFiltered()
		}
		if net != counted || !maps.Equal(filtered, want) || points != 0 {
			return fmt.Errorf("counted %d and filtered %v (%d more by point), want %d and %v", net, filtered, points, counted, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// One click of an ad counts; every other that is redirected is told with its
// reason, and those that are not redirected are not.
func (p *port) testFiltered(t *testing.T) {
	advertiser, err := p.fleet.Admin.NewAdvertiser(t.Context(), "Filtered", 2)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ad, paused := advertiser.Ads[0], advertiser.Ads[1]
	issue := func(ad *v1.Ad) string {
		issued, err := traffic.Issue(t.Context(), p.fleet.Admin, ad.GetAdId(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return issued[0].Token
	}
	ofPaused, good := issue(paused), issue(ad)
	if _, err := advertiser.API.Catalog.UpdateAd(t.Context(), &v1.UpdateAdRequest{
		AdId: paused.GetAdId(), Status: v1.AdStatus_AD_STATUS_PAUSED.Enum(),
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, token string
		header        http.Header
		times         int
	}{
		{"GET", good, nil, 4},
		{"GET", p.forger.Expired(ad.GetAdId()), nil, 2},
		{"GET", ofPaused, nil, 5},
		{"HEAD", issue(ad), nil, 1},
		{"GET", issue(ad), http.Header{"Sec-Purpose": {"prefetch"}}, 1},
		{"GET", p.forger.Forged(ad.GetAdId()), nil, 1},
		{"POST", good, nil, 1},
	} {
		for range c.times {
			request, err := http.NewRequestWithContext(t.Context(), c.method, p.fleet.URL+"/click?t="+c.token, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header = c.header
			if _, err := client.Do(p.clicker.HTTP, request); err != nil {
				t.Fatal(err)
			}
		}
	}
	expectGross(t, began, []*client.Advertiser{advertiser}, 1, map[v1.Verdict]int64{
		v1.Verdict_VERDICT_DUPLICATE: 3, v1.Verdict_VERDICT_EXPIRED: 2, v1.Verdict_VERDICT_PAUSED: 5, v1.Verdict_VERDICT_PREFETCH: 2,
	})
}
