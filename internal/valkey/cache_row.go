package valkey

import (
	"encoding/json"
	"fmt"
	"sync"

	"clickledger/internal/click"
)

// A cached row is its revision in 20 digits, then the rest as JSON. Digits of
// one length compare as text the way their numbers do, so the script needs no
// arithmetic (Lua's numbers are floats).
const versionDigits = 20

// putScript writes a row unless one at least as new is there: an old row, read
// from the store before a change and written after it, never wins. It answers
// 1 when it wrote.
const putScript = `
local there = redis.call('GETRANGE', KEYS[1], 0, 19)
if there >= string.sub(ARGV[1], 1, 20) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1`

type cachedAd struct {
	AdvertiserID int64          `json:"advertiser_id"`
	Name         string         `json:"name"`
	LandingURL   string         `json:"landing_url"`
	Status       click.AdStatus `json:"status"`
	FanOut       uint8          `json:"fan_out"`

	FanOutVersion uint64 `json:"fan_out_version,omitempty"` // part of the revision
}

func encodeAd(ad click.Ad) (string, error) {
	body, err := json.Marshal(cachedAd{ad.AdvertiserID, ad.Name, ad.LandingURL, ad.Status, ad.FanOut, ad.FanOutVersion})
	if err != nil {
		return "", fmt.Errorf("encode ad: %w", err)
	}
	return fmt.Sprintf("%0*d%s", versionDigits, ad.Revision(), body), nil
}

func decodeAd(adID int64, value []byte) (click.Ad, error) {
	ad := click.Ad{ID: adID}
	if len(value) < versionDigits {
		return ad, fmt.Errorf("decode cached ad: %w: %d bytes", click.ErrUnavailable, len(value))
	}
	var revision uint64
	if _, err := fmt.Sscanf(string(value[:versionDigits]), "%d", &revision); err != nil {
		return ad, fmt.Errorf("decode cached ad: %w: %w", click.ErrUnavailable, err)
	}
	var row cachedAd
	if err := json.Unmarshal(value[versionDigits:], &row); err != nil {
		return ad, fmt.Errorf("decode cached ad: %w: %w", click.ErrUnavailable, err)
	}
	ad.AdvertiserID, ad.Name, ad.LandingURL = row.AdvertiserID, row.Name, row.LandingURL
	ad.Status, ad.FanOut, ad.FanOutVersion = row.Status, row.FanOut, row.FanOutVersion
	ad.Version = revision - row.FanOutVersion
	return ad, nil
}

// pendingAdsMax bounds what is remembered of an outage. What does not fit is
// left to the life of the cached rows.
const pendingAdsMax = 10_000

// pendingAds are rows to be written once Valkey is back, the newest of each.
type pendingAds struct {
	mu   sync.Mutex
	rows map[int64]click.Ad
}

func (p *pendingAds) add(ads []click.Ad) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rows == nil {
		p.rows = map[int64]click.Ad{}
	}
	for _, ad := range ads {
		old, known := p.rows[ad.ID]
		if (known && old.Revision() < ad.Revision()) || (!known && len(p.rows) < pendingAdsMax) {
			p.rows[ad.ID] = ad
		}
	}
}

// takeMax is one pipeline's worth: longer ones leave the one connection.
const takeMax = 1_000

func (p *pendingAds) take() []click.Ad {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ads []click.Ad
	for id, ad := range p.rows {
		if len(ads) == takeMax {
			break
		}
		ads = append(ads, ad)
		delete(p.rows, id)
	}
	return ads
}
