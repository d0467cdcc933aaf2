package clickhouse

import (
	"context"
	"fmt"

	"clickledger/internal/click"
)

// The catalogue is small and on the home shard. A row is found by its key, and
// the newest version of it wins in the query itself: reading FINAL would give
// the same and cost more.

const adColumns = "ad_id, advertiser_id, name, landing_url, status, version"

// adQuery reads an ad and its fan-out, (0, 0) when it never had one. As a scalar
// the fan-out is read before the ad itself: what is read last is the owner's
// part, so that an old landing URL never comes together with a newer fan-out,
// which would let it win in the caches.
const adQuery = `WITH (SELECT (argMax(fan_out, version), max(version)) FROM fan_outs WHERE ad_id = ?) AS spread
SELECT ` + adColumns + `, spread.1, spread.2 FROM ads WHERE ad_id = ? ORDER BY version DESC LIMIT 1`

// Ad is the newest row of one ad; click.ErrNotFound when there is none,
// click.ErrUnavailable when the store cannot be asked, or has no catalogue at
// all: it was lost and is not restored yet.
func (s *Store) Ad(ctx context.Context, adID int64) (click.Ad, error) {
	ads, err := s.ads(ctx, adQuery, adID, adID)
	if err != nil {
		return click.Ad{}, err
	}
	if len(ads) == 0 {
		return click.Ad{}, s.noAd(ctx)
	}
	return ads[0], nil
}

// noAd is why there is no such ad. Advertisers are restored last: without any,
// nobody knows yet which ads there are.
func (s *Store) noAd(ctx context.Context) error {
	var advertisers uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM (SELECT 1 FROM advertisers LIMIT 1)").Scan(&advertisers)
	switch {
	case err != nil:
		return readError("read ad", err)
	case advertisers == 0:
		return fmt.Errorf("read ad: %w: the catalogue is empty", click.ErrUnavailable)
	default:
		return fmt.Errorf("read ad: %w", click.ErrNotFound)
	}
}

// AdsOf is up to limit ads of an advertiser with ids above after, by id. It
// does not look for fan-outs: all ads are given as if none were hot.
func (s *Store) AdsOf(ctx context.Context, advertiserID, after int64, limit int) ([]click.Ad, error) {
	return s.ads(ctx, "SELECT "+adColumns+`, toUInt8(1), toUInt64(0) FROM ads WHERE advertiser_id = ? AND ad_id > ?
		ORDER BY ad_id, version DESC LIMIT 1 BY ad_id LIMIT ?`, advertiserID, after, limit)
}

// OwnsAds reports whether every one of adIDs, which are distinct, is an ad of
// the advertiser.
func (s *Store) OwnsAds(ctx context.Context, advertiserID int64, adIDs []int64) (bool, error) {
	var owned uint64
	err := s.conn.QueryRow(ctx, "SELECT uniqExact(ad_id) FROM ads WHERE ad_id IN (?) AND advertiser_id = ?",
		adIDs, advertiserID).Scan(&owned)
	if err != nil {
		return false, readError("read the owner of ads", err)
	}
	return owned == uint64(len(adIDs)), nil
}

// InsertAds writes rows of ads, all or none: one block is one part. Their
// fan-outs are not theirs to change: see SetFanOuts.
func (s *Store) InsertAds(ctx context.Context, ads []click.Ad) error {
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO ads ("+adColumns+")")
	if err != nil {
		return readError("insert ads", err)
	}
	defer func() { _ = batch.Close() }()
	for _, ad := range ads {
		err := batch.Append(ad.ID, ad.AdvertiserID, ad.Name, ad.LandingURL, string(ad.Status), ad.Version)
		if err != nil {
			return fmt.Errorf("insert ads: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("insert ads", err)
	}
	return nil
}

// InsertAdvertiser writes one advertiser.
func (s *Store) InsertAdvertiser(ctx context.Context, a click.Advertiser, version uint64) error {
	return s.InsertAdvertisers(ctx, []click.AdvertiserRow{{Advertiser: a, Version: version}})
}

// AdvertiserExists reports whether there is such an advertiser.
func (s *Store) AdvertiserExists(ctx context.Context, advertiserID int64) (bool, error) {
	var rows uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM advertisers WHERE advertiser_id = ?", advertiserID).Scan(&rows)
	if err != nil {
		return false, readError("read advertiser", err)
	}
	return rows > 0, nil
}

func (s *Store) ads(ctx context.Context, query string, args ...any) ([]click.Ad, error) {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, readError("read ads", err)
	}
	defer func() { _ = rows.Close() }()
	var ads []click.Ad
	for rows.Next() {
		var ad click.Ad
		var status string
		err := rows.Scan(&ad.ID, &ad.AdvertiserID, &ad.Name, &ad.LandingURL, &status, &ad.Version, &ad.FanOut, &ad.FanOutVersion)
		if err != nil {
			return nil, fmt.Errorf("read ads: %w", err)
		}
		ad.Status, ad.FanOut = click.AdStatus(status), max(ad.FanOut, click.FanOutCold)
		ads = append(ads, ad)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read ads", err)
	}
	return ads, nil
}
