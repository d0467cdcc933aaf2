package server

import (
	"context"
	"time"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

const topAdsDefault = 10

// AdClicks is the clicks of one ad.
type AdClicks struct {
	AdID     int64
	Clicks   uint64
	Restated bool // one of its figures was corrected after it had been final
}

// state is how far the clicks of an ad up to an instant can be trusted.
func (a AdClicks) state(to, sealed time.Time) click.State {
	switch {
	case to.After(sealed):
		return click.Provisional
	case a.Restated:
		return click.Restated
	default:
		return click.Final
	}
}

// TopAds reads the most clicked ads of a range: what is sealed, and what has
// come since.
func (s *reportService) TopAds(ctx context.Context, in *v1.TopAdsRequest) (*v1.TopAdsResponse, error) {
	began := time.Now()
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	from, to := in.GetStartTime().AsTime(), in.GetEndTime().AsTime()
	if err := checkBounds(from, to, s.now()); err != nil {
		return nil, err
	}
	if err := s.requireOwn(ctx, in.GetAdvertiserId(), nil); err != nil {
		return nil, err
	}
	sealed, err := s.store.SealedThrough(ctx)
	if err != nil {
		return nil, err
	}
	limit := int(in.GetLimit())
	if limit == 0 {
		limit = topAdsDefault
	}
	ads, err := s.store.TopAds(ctx, FiguresQuery{
		AdvertiserID: in.GetAdvertiserId(), From: from, To: to, SealedThrough: sealed, FiguresMax: limit, Asked: began,
	})
	if err != nil {
		return nil, err
	}
	out := &v1.TopAdsResponse{SealedThrough: timeToProto(sealed)}
	for _, ad := range ads {
		out.Ads = append(out.Ads, &v1.AdClicks{AdId: ad.AdID, Clicks: int64(ad.Clicks), State: stateToProto(ad.state(to, sealed))})
	}
	return out, nil
}
