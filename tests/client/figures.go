package client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
)

// pointsPerCall stays well under what one QueryClicks answers.
const pointsPerCall = 40_000

// Figures is what was counted for one advertiser, by ad and minute. Only
// figures above zero are kept; a minute's state is that of all its ads.
type Figures struct {
	Clicks        map[int64]map[time.Time]int64
	States        map[time.Time]clickledgerv1.State
	SealedThrough time.Time
	Total         int64
}

// Figures reads an advertiser's minutes in [from, to), whole minutes, by ad.
// Long ranges are read in parts; SealedThrough is that of the first part.
func (a *API) Figures(ctx context.Context, advertiser *Advertiser, from, to time.Time) (Figures, error) {
	figures := Figures{Clicks: map[int64]map[time.Time]int64{}, States: map[time.Time]clickledgerv1.State{}}
	step := time.Duration(max(1, pointsPerCall/max(1, len(advertiser.Ads)))) * time.Minute
	for start := from; start.Before(to); start = start.Add(step) {
		end := start.Add(step)
		if end.After(to) {
			end = to
		}
		response, err := a.Reports.QueryClicks(ctx, &clickledgerv1.QueryClicksRequest{
			AdvertiserId: advertiser.ID,
			StartTime:    timestamppb.New(start),
			EndTime:      timestamppb.New(end),
			Granularity:  clickledgerv1.Granularity_GRANULARITY_MINUTE,
			GroupByAd:    true,
		})
		if err != nil {
			return Figures{}, fmt.Errorf("query clicks of advertiser %d: %w", advertiser.ID, err)
		}
		figures.add(response)
	}
	return figures, nil
}

func (f *Figures) add(response *clickledgerv1.QueryClicksResponse) {
	if f.SealedThrough.IsZero() && response.GetSealedThrough() != nil {
		f.SealedThrough = response.GetSealedThrough().AsTime()
	}
	f.Total += response.GetTotalClicks()
	for _, point := range response.GetPoints() {
		minute := point.GetStartTime().AsTime()
		if worse(point.GetState(), f.States[minute]) {
			f.States[minute] = point.GetState()
		}
		if point.GetClicks() == 0 {
			continue
		}
		byMinute := f.Clicks[point.GetAdId()]
		if byMinute == nil {
			byMinute = map[time.Time]int64{}
			f.Clicks[point.GetAdId()] = byMinute
		}
		byMinute[minute] += point.GetClicks()
	}
}

// worse: provisional, then restated, then final.
func worse(a, b clickledgerv1.State) bool {
	rank := func(s clickledgerv1.State) int {
		switch s {
		case clickledgerv1.State_STATE_PROVISIONAL:
			return 3
		case clickledgerv1.State_STATE_RESTATED:
			return 2
		case clickledgerv1.State_STATE_FINAL:
			return 1
		default:
			return 0
		}
	}
	return rank(a) > rank(b)
}

// Total is an advertiser's clicks in [from, to) and the sealed prefix: the
// cheapest question about it.
func (a *API) Total(ctx context.Context, advertiserID int64, from, to time.Time) (clicks int64, sealedThrough time.Time, err error) {
	response, err := a.Reports.QueryClicks(ctx, &clickledgerv1.QueryClicksRequest{
		AdvertiserId: advertiserID,
		StartTime:    timestamppb.New(from),
		EndTime:      timestamppb.New(to),
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("query clicks of advertiser %d: %w", advertiserID, err)
	}
	if through := response.GetSealedThrough(); through != nil {
		sealedThrough = through.AsTime()
	}
	return response.GetTotalClicks(), sealedThrough, nil
}
