package activities

import (
	"context"
	"reflect"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"clickledger/internal/click"
)

// hotStore is a store and the gateways' cache that write down what happens.
type hotStore struct {
	loads   []click.AdLoad
	busiest uint64
	hot     []click.FanOut
	since   time.Time
	least   uint64

	did       []string
	told      []click.Ad
	cacheAway bool
}

func (s *hotStore) LoadOfAds(_ context.Context, since time.Time, least uint64) ([]click.AdLoad, uint64, error) {
	s.since, s.least = since, least
	return s.loads, s.busiest, nil
}

func (s *hotStore) HotAds(context.Context) ([]click.FanOut, error) { return s.hot, nil }

func (s *hotStore) NextVersion(context.Context) (uint64, error) { return 1_800_000_000_000_000, nil }

func (s *hotStore) SetFanOuts(context.Context, []click.FanOut) error {
	s.did = append(s.did, "set")
	return nil
}

func (s *hotStore) AdsByID(_ context.Context, ids []int64) (ads []click.Ad, err error) {
	s.did = append(s.did, "read")
	for _, id := range ids {
		if id != 404 {
			ads = append(ads, click.Ad{ID: id})
		}
	}
	return ads, nil
}

func (s *hotStore) Put(_ context.Context, ads ...click.Ad) error {
	s.did = append(s.did, "tell")
	if s.cacheAway {
		return click.ErrUnavailable
	}
	s.told = append(s.told, ads...)
	return nil
}

// runHotAds executes one of the activities over the store.
func runHotAds[In, Out any](t *testing.T, s *hotStore, which func(*HotAds) func(context.Context, In) (Out, error), in In) Out {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	hot := &HotAds{Loads: s, FanOuts: s, Gateways: s, Partitions: 6}
	env.RegisterActivity(hot)
	value, err := env.ExecuteActivity(which(hot), in)
	if err != nil {
		t.Fatal(err)
	}
	var out Out
	if err := value.Get(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func planHot(h *HotAds) func(context.Context, PlanFanOutsInput) (PlanFanOutsResult, error) {
	return h.PlanFanOuts
}

func spreadHot(h *HotAds) func(context.Context, SpreadAdsInput) (SpreadAdsResult, error) {
	return h.SpreadAds
}

func TestFanOutsArePlannedFromTheLastTenMinutes(t *testing.T) {
	s := &hotStore{
		loads: []click.AdLoad{{AdID: 1, AdvertiserID: 7, Clicks: 480_000}}, busiest: 600_000,
		hot: []click.FanOut{{AdID: 2, AdvertiserID: 8, FanOut: 240, Version: 1_799_999_999_000_000}},
	}
	got := runHotAds(t, s, planHot, PlanFanOutsInput{})
	want := PlanFanOutsResult{Hot: s.hot, Changes: []click.FanOut{{AdID: 1, AdvertiserID: 7, FanOut: click.FanOutHot, Version: 1_800_000_000_000_000}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("planned %+v, want %+v", got, want)
	}
	if since := time.UnixMicro(1_800_000_000_000_000).Add(-10 * time.Minute); !s.since.Equal(since) || s.least != 3000 {
		t.Errorf("asked since %v for at least %d clicks, want %v and 3000", s.since, s.least, since)
	}
}

// The fan-outs are written before the ads are read, and told last: see UpdateAd.
func TestGatewaysAreToldOfWhatWasReadAfterTheWrite(t *testing.T) {
	s := &hotStore{}
	done := runHotAds(t, s, spreadHot, SpreadAdsInput{
		Changes: []click.FanOut{{AdID: 1, FanOut: 240}, {AdID: 404, FanOut: 240}},
		Hot:     []click.FanOut{{AdID: 1, FanOut: 240}, {AdID: 2, FanOut: 240}},
	})
	if want := []string{"set", "read", "tell"}; !reflect.DeepEqual(s.did, want) {
		t.Errorf("did %v, want %v", s.did, want)
	}
	if done.Told != 2 || len(s.told) != 2 || s.told[0].ID != 1 || s.told[1].ID != 2 {
		t.Errorf("told %+v, result %+v; want the ads 1 and 2", s.told, done)
	}
}

func TestAwayCacheKeepsNoAdFromBeingSpread(t *testing.T) {
	s := &hotStore{cacheAway: true}
	done := runHotAds(t, s, spreadHot, SpreadAdsInput{Changes: []click.FanOut{{AdID: 1, FanOut: 240}}})
	if done.Told != 0 || s.did[0] != "set" {
		t.Errorf("did %v, result %+v", s.did, done)
	}
}

func TestHotAdsAreToldAgainWithoutAnyChange(t *testing.T) {
	s := &hotStore{}
	done := runHotAds(t, s, spreadHot, SpreadAdsInput{Hot: []click.FanOut{{AdID: 2, FanOut: 240}}})
	if want := []string{"read", "tell"}; !reflect.DeepEqual(s.did, want) || done.Told != 1 {
		t.Errorf("did %v, want %v; result %+v", s.did, want, done)
	}
}
