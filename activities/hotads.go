package activities

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

// hotAdsBehind is how far back ads are looked at. More than a minute: when a
// hot ad has filled its partition, its newest clicks are not stored yet.
const hotAdsBehind = 10 * time.Minute

// loadStore is the store that knows how much every ad is clicked.
type loadStore interface {
	LoadOfAds(ctx context.Context, since time.Time, least uint64) (loads []click.AdLoad, busiest uint64, err error)
	HotAds(ctx context.Context) ([]click.FanOut, error)
	NextVersion(ctx context.Context) (uint64, error)
}

// fanOutStore is the store that keeps the fan-outs.
type fanOutStore interface {
	SetFanOuts(ctx context.Context, fanOuts []click.FanOut) error
	AdsByID(ctx context.Context, adIDs []int64) ([]click.Ad, error)
}

// adListeners are told of rows that changed: all gateways.
type adListeners interface {
	Put(ctx context.Context, ads ...click.Ad) error
}

// HotAds is the activities that find ads which alone fill a good part of a
// partition, and spread them.
type HotAds struct {
	Loads      loadStore
	FanOuts    fanOutStore
	Gateways   adListeners
	Partitions int32
}

// PlanFanOutsInput is empty: the store is asked.
type PlanFanOutsInput struct{}

// PlanFanOutsResult is which ads are spread now, and what must change.
type PlanFanOutsResult struct {
	Hot     []click.FanOut `json:"hot,omitempty"`
	Changes []click.FanOut `json:"changes,omitempty"`
}

// PlanFanOuts compares what ads are clicked with how they are spread. It only
// reads. The time is the store's own, as in the versions it compares with.
func (h *HotAds) PlanFanOuts(ctx context.Context, _ PlanFanOutsInput) (PlanFanOutsResult, error) {
	version, err := h.Loads.NextVersion(ctx)
	if err != nil {
		return PlanFanOutsResult{}, err
	}
	hot, err := h.Loads.HotAds(ctx)
	if err != nil {
		return PlanFanOutsResult{}, err
	}
	since := time.UnixMicro(int64(version)).Add(-hotAdsBehind)
	loads, busiest, err := h.Loads.LoadOfAds(ctx, since, uint64(click.HotRateMin*click.WindowLength.Seconds()))
	if err != nil {
		return PlanFanOutsResult{}, err
	}
	activity.GetMetricsHandler(ctx).Gauge("clickledger_hot_ads").Update(float64(len(hot)))
	return PlanFanOutsResult{Hot: hot, Changes: click.PlanFanOuts(loads, busiest, hot, h.Partitions, version)}, nil
}

// SpreadAdsInput is what to write, and which ads besides to tell of.
type SpreadAdsInput struct {
	Changes []click.FanOut `json:"changes,omitempty"`
	Hot     []click.FanOut `json:"hot,omitempty"`
}

// SpreadAdsResult is what was done.
type SpreadAdsResult struct {
	Told int `json:"told"` // ads the gateways were told of
}

// SpreadAds writes fan-outs and tells the gateways of them, after it has read
// the ads: see UpdateAd, which does the same. It tells of all hot ads each
// time, so what an outage or a crash kept from the caches they hear a minute
// later. Written or told twice, nothing changes: the versions are in the input.
//
// The caches only save work, so one that is away is no error: an ad is then
// looked up in the store.
func (h *HotAds) SpreadAds(ctx context.Context, in SpreadAdsInput) (SpreadAdsResult, error) {
	if len(in.Changes) > 0 {
		if err := h.FanOuts.SetFanOuts(ctx, in.Changes); err != nil {
			return SpreadAdsResult{}, err
		}
	}
	var ids []int64
	for _, list := range [][]click.FanOut{in.Changes, in.Hot} {
		for _, each := range list {
			ids = append(ids, each.AdID)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	ads, err := h.FanOuts.AdsByID(ctx, ids)
	if err != nil {
		return SpreadAdsResult{}, err
	}
	if len(ads) < len(ids) { // clicks of a restored stream, or the catalogue is not restored yet: the next minute tells of them
		activity.GetLogger(ctx).Warn("hot ads are in no catalogue", "ads", len(ids), "found", len(ads))
	}
	if err := h.Gateways.Put(ctx, ads...); err != nil {
		activity.GetLogger(ctx).Warn("the gateways will hear of hot ads when the cache is back", "ads", len(ads), "error", err)
		return SpreadAdsResult{}, nil
	}
	return SpreadAdsResult{Told: len(ads)}, nil
}
