package server

import (
	"context"
	"slices"

	v1 "clickledger/proto/gen/clickledger/v1"
)

// pageAdsMax is how many ads a page has at most, as many as may be asked for by
// their ids.
const pageAdsMax = 1_000

// paged reports whether an answer is to come in pages.
func paged(in *v1.QueryClicksRequest) bool { return in.GetPageSize() != 0 || in.GetPageToken() != "" }

// page is the ads of the page that is asked for, and the token of the next one,
// "" if it is the last. Its ads are whole: the points of an ad are in one page.
func (s *reportService) page(ctx context.Context, in *v1.QueryClicksRequest, asked reportRange, q FiguresQuery) (ads []int64, next string, err error) {
	after, err := parsePageToken(in.GetPageToken())
	if err != nil {
		return nil, "", err
	}
	points := int(in.GetPageSize())
	if points == 0 {
		points = pointsMax
	}
	size := min(max(points/len(asked.starts), 1), pageAdsMax)
	if len(in.GetAdIds()) > 0 {
		for _, id := range slices.Sorted(slices.Values(in.GetAdIds())) {
			if id > after {
				ads = append(ads, id)
			}
		}
	} else {
		q.FiguresMax = size + 1
		if ads, err = s.store.ReportedAds(ctx, q, after); err != nil {
			return nil, "", err
		}
	}
	if len(ads) > size {
		ads, next = ads[:size], pageToken(ads[size-1])
	}
	return ads, next, nil
}
