package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// catalogueStore is where the catalogue is kept. What it has returned from is
// durable.
type catalogueStore interface {
	NextVersion(ctx context.Context) (uint64, error)
	Ad(ctx context.Context, adID int64) (click.Ad, error)
	AdsOf(ctx context.Context, advertiserID, after int64, limit int) ([]click.Ad, error)
	InsertAds(ctx context.Context, ads []click.Ad) error
	NoteAdChanges(ctx context.Context, changes []click.AdChange) error
	InsertAdvertiser(ctx context.Context, a click.Advertiser, version uint64) error
	AdvertiserExists(ctx context.Context, advertiserID int64) (bool, error)
	APIKey(ctx context.Context, keyID int64) (click.APIKey, error)
	APIKeys(ctx context.Context, advertiserID, after int64, limit int) ([]click.APIKey, error)
	InsertAPIKey(ctx context.Context, k click.APIKey) error
}

// updateLocks serialise changes of one ad in this process.
const updateLocks = 64

// catalogService answers CatalogService. Rows are written to the store, then
// told to all gateways.
type catalogService struct {
	store    catalogueStore
	ads      *Ads
	keys     *Keys
	log      *slog.Logger
	gateways revocationNews
	now      func() time.Time
	updates  [updateLocks]sync.Mutex
}

// CreateAdvertiser makes an advertiser and its first key. The advertiser is
// written last: a failure between leaves a key nobody knows, not an advertiser
// nobody can reach.
func (s *catalogService) CreateAdvertiser(ctx context.Context, in *v1.CreateAdvertiserRequest) (*v1.CreateAdvertiserResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	version, err := s.store.NextVersion(ctx)
	if err != nil {
		return nil, err
	}
	id, err := newID()
	if err != nil {
		return nil, err
	}
	shown, key, err := newKey(click.RoleAdvertiser, id, "first key", s.now())
	if err != nil {
		return nil, err
	}
	key.Version = version
	if err := s.store.InsertAPIKey(ctx, key); err != nil {
		return nil, err
	}
	if err := s.store.InsertAdvertiser(ctx, click.Advertiser{ID: id, Name: in.GetName()}, version); err != nil {
		return nil, err
	}
	return &v1.CreateAdvertiserResponse{
		Advertiser: &v1.Advertiser{AdvertiserId: id, Name: in.GetName()},
		ApiKey:     shown,
	}, nil
}

// CreateAds makes ads, all or none.
func (s *catalogService) CreateAds(ctx context.Context, in *v1.CreateAdsRequest) (*v1.CreateAdsResponse, error) {
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	for i, ad := range in.GetAds() {
		if err := checkLandingURL(ad.GetLandingUrl()); err != nil {
			return nil, invalidf("ads[%d]: %s", i, messageOf(err))
		}
	}
	if err := s.requireExists(ctx, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	version, err := s.store.NextVersion(ctx)
	if err != nil {
		return nil, err
	}
	ads := make([]click.Ad, len(in.GetAds()))
	for i, ad := range in.GetAds() {
		id, err := newID()
		if err != nil {
			return nil, err
		}
		ads[i] = click.Ad{
			ID: id, AdvertiserID: in.GetAdvertiserId(), Name: ad.GetName(), LandingURL: ad.GetLandingUrl(),
			Status: click.AdActive, FanOut: 1, Version: version,
		}
	}
	if err := s.store.InsertAds(ctx, ads); err != nil {
		return nil, err
	}
	s.publish(ctx, ads...)
	return &v1.CreateAdsResponse{Ads: adsToProto(ads)}, nil
}

// UpdateAd changes what is given. Of two changes at two gateways at the same
// instant the one with the newer version wins whole: a change of the other
// that it had not read yet is undone.
func (s *catalogService) UpdateAd(ctx context.Context, in *v1.UpdateAdRequest) (*v1.UpdateAdResponse, error) {
	if in.LandingUrl != nil {
		if err := checkLandingURL(in.GetLandingUrl()); err != nil {
			return nil, err
		}
	}
	lock := &s.updates[uint64(in.GetAdId())%updateLocks]
	lock.Lock()
	defer lock.Unlock()
	ad, err := s.ownAd(ctx, in.GetAdId())
	if err != nil {
		return nil, err
	}
	changed := ad
	if in.LandingUrl != nil {
		changed.LandingURL = in.GetLandingUrl()
	}
	if in.Status != nil {
		if changed.Status, err = adStatusFromProto(in.GetStatus()); err != nil {
			return nil, err
		}
	}
	if changed == ad {
		// Told again: whoever repeats a change whose answer was lost may be the
		// first to hear that it was stored, before anybody was told.
		if err := s.note(ctx, ad); err != nil {
			return nil, err
		}
		s.publish(ctx, ad)
		return &v1.UpdateAdResponse{Ad: adToProto(ad)}, nil
	}
	version, err := s.store.NextVersion(ctx)
	if err != nil {
		return nil, err
	}
	changed.Version = max(version, ad.Version+1)
	if err := s.store.InsertAds(ctx, []click.Ad{changed}); err != nil {
		return nil, err
	}
	if err := s.note(ctx, changed); err != nil {
		return nil, err
	}
	// What is told was read after the write. Its fan-out may have been raised
	// meanwhile: whoever of the two reads last tells of both changes.
	told := changed
	if stored, err := s.store.Ad(ctx, changed.ID); err == nil {
		told = stored
	}
	s.publish(ctx, told)
	return &v1.UpdateAdResponse{Ad: adToProto(changed)}, nil
}

// GetAd reads one ad.
func (s *catalogService) GetAd(ctx context.Context, in *v1.GetAdRequest) (*v1.GetAdResponse, error) {
	ad, err := s.ownAd(ctx, in.GetAdId())
	if err != nil {
		return nil, err
	}
	return &v1.GetAdResponse{Ad: adToProto(ad)}, nil
}

// ListAds reads one page of an advertiser's ads.
func (s *catalogService) ListAds(ctx context.Context, in *v1.ListAdsRequest) (*v1.ListAdsResponse, error) {
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(in.GetPageSize())
	ads, err := s.store.AdsOf(ctx, in.GetAdvertiserId(), after, size+1)
	if err != nil {
		return nil, err
	}
	if len(ads) == 0 && after == 0 {
		if err := s.requireExists(ctx, in.GetAdvertiserId()); err != nil {
			return nil, err
		}
	}
	out := &v1.ListAdsResponse{}
	if len(ads) > size {
		ads = ads[:size]
		out.NextPageToken = pageToken(ads[size-1].ID)
	}
	out.Ads = adsToProto(ads)
	return out, nil
}

// ownAd is the newest row of an ad the caller may see. Another's and none get
// the same answer.
func (s *catalogService) ownAd(ctx context.Context, adID int64) (click.Ad, error) {
	p := principalOf(ctx)
	if p.Role != click.RoleAdmin && p.Role != click.RoleAdvertiser {
		return click.Ad{}, forbidden()
	}
	ad, err := s.store.Ad(ctx, adID)
	if errors.Is(err, click.ErrNotFound) {
		return click.Ad{}, notFound(errNoSuchAd)
	}
	if err != nil {
		return click.Ad{}, err
	}
	if p.Role == click.RoleAdvertiser && ad.AdvertiserID != p.AdvertiserID {
		return click.Ad{}, notFound(errNoSuchAd)
	}
	return ad, nil
}

func (s *catalogService) requireExists(ctx context.Context, advertiserID int64) error {
	exists, err := s.store.AdvertiserExists(ctx, advertiserID)
	if err != nil {
		return err
	}
	if !exists {
		return notFound(errNoSuchAdvertiser)
	}
	return nil
}

// note writes down that an ad was changed, where every gateway looks: those that
// publish does not reach.
func (s *catalogService) note(ctx context.Context, ad click.Ad) error {
	return s.store.NoteAdChanges(ctx, []click.AdChange{{AdID: ad.ID, Version: ad.Version}})
}

// publish tells the gateways; the rows are safe, so a failure is only logged.
func (s *catalogService) publish(ctx context.Context, ads ...click.Ad) {
	if err := s.ads.Publish(ctx, ads...); err != nil {
		s.log.Debug("ads will be told to other gateways when the cache is back", "ads", len(ads), "error", err)
	}
}
