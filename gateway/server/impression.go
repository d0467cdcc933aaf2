package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

var errAdPaused = errors.New("the ad is paused: its clicks would not count")

// impressionService answers ImpressionService.
type impressionService struct {
	keys      *click.Keyring
	ads       *Ads
	metrics   *Metrics
	publicURL string // without a slash at its end
	now       func() time.Time
}

// IssueImpressions signs impressions of an ad that is active: FAILED_PRECONDITION
// for a paused one. They are stored nowhere.
func (s *impressionService) IssueImpressions(ctx context.Context, in *v1.IssueImpressionsRequest) (*v1.IssueImpressionsResponse, error) {
	if p := principalOf(ctx); p.Role != click.RoleAdmin && p.Role != click.RolePublisher {
		return nil, forbidden()
	}
	ad, err := s.ads.Get(ctx, in.GetAdId())
	if errors.Is(err, click.ErrNotFound) {
		return nil, notFound(errNoSuchAd)
	}
	if err != nil {
		return nil, err
	}
	if ad.Status == click.AdPaused {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errAdPaused)
	}
	impressions, err := s.issue(ad, max(int(in.GetCount()), 1))
	if err != nil {
		return nil, err
	}
	s.metrics.impressions.Add(float64(len(impressions)))
	return &v1.IssueImpressionsResponse{Impressions: impressions}, nil
}

func (s *impressionService) issue(ad click.Ad, count int) ([]*v1.Impression, error) {
	now := s.now()
	expires := timestamppb.New(now.Truncate(time.Millisecond).Add(s.keys.Validity()))
	random := bufio.NewReader(rand.Reader) // a system call for hundreds of ids, not for each
	impressions := make([]*v1.Impression, count)
	for i := range impressions {
		id, err := click.NewImpressionID(now, random)
		if err != nil {
			return nil, err
		}
		token := s.keys.Sign(click.Token{AdID: ad.ID, Impression: id, FanOut: max(ad.FanOut, 1)})
		impressions[i] = &v1.Impression{
			ImpressionId: id.String(),
			Token:        token,
			ClickUrl:     s.publicURL + clickPath + "?t=" + token,
			ExpireTime:   expires,
		}
	}
	return impressions, nil
}
