package activities

import (
	"context"
	"slices"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

const (
	// syncAdsMax is how many ads one SyncAds puts into the cache.
	syncAdsMax = 100_000
	// syncPageMax is how many are read at a time: some 10 MB.
	syncPageMax = 20_000
	// syncFull is the part of its memory, in per cent, up to which the cache is
	// filled: beyond it each row would evict another.
	syncFull = 90
)

// adSyncStore reads the whole catalogue, page by page.
type adSyncStore interface {
	AdsBehind(ctx context.Context, after int64, limit int) ([]click.Ad, error)
}

// adSyncCache is the cache that is filled.
type adSyncCache interface {
	adListeners
	Memory(ctx context.Context) (used, limit int64, err error)
}

// AdSync is the activity that fills the cache all gateways share.
type AdSync struct {
	Store adSyncStore
	Cache adSyncCache
}

// SyncAdsInput is behind which ad to go on.
type SyncAdsInput struct {
	After int64 `json:"after"`
}

// SyncAdsResult is what was put.
type SyncAdsResult struct {
	Through int64 `json:"through"`
	Ads     int64 `json:"ads"`
	End     bool  `json:"end,omitempty"`  // there are no more
	Full    bool  `json:"full,omitempty"` // the cache takes no more
}

// SyncAds puts the next ads into the cache, each with its version: one that is
// there and as new stays, one that is newer too. So it may be repeated and run
// beside any change.
func (s *AdSync) SyncAds(ctx context.Context, in SyncAdsInput) (SyncAdsResult, error) {
	out := SyncAdsResult{Through: in.After}
	for out.Ads < syncAdsMax {
		used, limit, err := s.Cache.Memory(ctx)
		if err != nil {
			return SyncAdsResult{}, err
		}
		if limit > 0 && used*100 >= limit*syncFull {
			out.Full = true
			return out, nil
		}
		ads, err := s.Store.AdsBehind(ctx, out.Through, syncPageMax)
		if err != nil {
			return SyncAdsResult{}, err
		}
		for some := range slices.Chunk(ads, tellMax) {
			if err := s.Cache.Put(ctx, some...); err != nil {
				return SyncAdsResult{}, err
			}
			out.Through, out.Ads = some[len(some)-1].ID, out.Ads+int64(len(some))
			activity.RecordHeartbeat(ctx, out)
		}
		if len(ads) < syncPageMax {
			out.End = true
			return out, nil
		}
	}
	return out, nil
}
