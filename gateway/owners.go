package main

import (
	"context"
	"fmt"

	"github.com/maypok86/otter/v2"
)

const (
	knownAdvertisersMax = 100_000
	knownAdsMax         = 200_000
)

// owners remembers which advertisers there are and whose an ad is. Neither is
// ever removed or changed, so what was once so needs not be asked again; what is
// not there is asked each time. It is safe for concurrent use.
type owners struct {
	advertisers *otter.Cache[int64, struct{}]
	ads         *otter.Cache[int64, int64]
}

func newOwners() (*owners, error) {
	advertisers, err := otter.New(&otter.Options[int64, struct{}]{MaximumSize: knownAdvertisersMax})
	if err != nil {
		return nil, fmt.Errorf("make cache of advertisers: %w", err)
	}
	ads, err := otter.New(&otter.Options[int64, int64]{MaximumSize: knownAdsMax})
	if err != nil {
		return nil, fmt.Errorf("make cache of owners: %w", err)
	}
	return &owners{advertisers: advertisers, ads: ads}, nil
}

// exists reports whether there is such an advertiser.
func (o *owners) exists(ctx context.Context, advertiserID int64, ask func(context.Context, int64) (bool, error)) (bool, error) {
	if _, known := o.advertisers.GetIfPresent(advertiserID); known {
		return true, nil
	}
	exists, err := ask(ctx, advertiserID)
	if err == nil && exists {
		o.advertisers.Set(advertiserID, struct{}{})
	}
	return exists, err
}

// own reports whether every one of adIDs is the advertiser's.
func (o *owners) own(ctx context.Context, advertiserID int64, adIDs []int64, ask func(context.Context, int64, []int64) (bool, error)) (bool, error) {
	var unknown []int64
	for _, id := range adIDs {
		switch owner, known := o.ads.GetIfPresent(id); {
		case !known:
			unknown = append(unknown, id)
		case owner != advertiserID:
			return false, nil
		}
	}
	if len(unknown) == 0 {
		return true, nil
	}
	own, err := ask(ctx, advertiserID, unknown)
	if err != nil || !own {
		return false, err
	}
	for _, id := range unknown {
		o.ads.Set(id, advertiserID)
	}
	return true, nil
}
