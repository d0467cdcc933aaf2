package parquet

import (
	"time"

	"clickledger/internal/click"
)

// The files of an export: columns are named and typed as the store's. Versions
// are kept. Never is 0, as in the store.

type advertiserRow struct {
	ID      int64  `parquet:"advertiser_id"`
	Name    string `parquet:"name"`
	Version uint64 `parquet:"version"`
}

// EncodeAdvertisers makes a file of advertisers.
func EncodeAdvertisers(all []click.AdvertiserRow) ([]byte, error) {
	return encode(all, func(a *click.AdvertiserRow) advertiserRow { return advertiserRow{a.ID, a.Name, a.Version} })
}

// DecodeAdvertisers reads what EncodeAdvertisers wrote.
func DecodeAdvertisers(file []byte) ([]click.AdvertiserRow, error) {
	return decode(file, func(r *advertiserRow) click.AdvertiserRow {
		return click.AdvertiserRow{Advertiser: click.Advertiser{ID: r.ID, Name: r.Name}, Version: r.Version}
	})
}

type adRow struct {
	ID           int64  `parquet:"ad_id"`
	AdvertiserID int64  `parquet:"advertiser_id"`
	Name         string `parquet:"name"`
	LandingURL   string `parquet:"landing_url"`
	Status       string `parquet:"status,dict"`
	Version      uint64 `parquet:"version"`
}

// EncodeAds makes a file of ads, without their fan-outs.
func EncodeAds(all []click.Ad) ([]byte, error) {
	return encode(all, func(a *click.Ad) adRow {
		return adRow{a.ID, a.AdvertiserID, a.Name, a.LandingURL, string(a.Status), a.Version}
	})
}

// DecodeAds reads what EncodeAds wrote.
func DecodeAds(file []byte) ([]click.Ad, error) {
	return decode(file, func(r *adRow) click.Ad {
		return click.Ad{
			ID: r.ID, AdvertiserID: r.AdvertiserID, Name: r.Name, LandingURL: r.LandingURL,
			Status: click.AdStatus(r.Status), FanOut: click.FanOutCold, Version: r.Version,
		}
	})
}

type fanOutRow struct {
	AdID         int64  `parquet:"ad_id"`
	AdvertiserID int64  `parquet:"advertiser_id"`
	FanOut       int32  `parquet:"fan_out"`
	Version      uint64 `parquet:"version"`
}

// EncodeFanOuts makes a file of fan-outs.
func EncodeFanOuts(all []click.FanOut) ([]byte, error) {
	return encode(all, func(f *click.FanOut) fanOutRow {
		return fanOutRow{f.AdID, f.AdvertiserID, int32(f.FanOut), f.Version}
	})
}

// DecodeFanOuts reads what EncodeFanOuts wrote.
func DecodeFanOuts(file []byte) ([]click.FanOut, error) {
	return decode(file, func(r *fanOutRow) click.FanOut {
		return click.FanOut{AdID: r.AdID, AdvertiserID: r.AdvertiserID, FanOut: uint8(r.FanOut), Version: r.Version}
	})
}

type apiKeyRow struct {
	ID           int64    `parquet:"key_id"`
	Hash         [32]byte `parquet:"hash"`
	Role         string   `parquet:"role,dict"`
	AdvertiserID int64    `parquet:"advertiser_id"`
	Name         string   `parquet:"name"`
	CreatedAt    int64    `parquet:"created_at,timestamp(millisecond:utc)"`
	ExpiresAt    int64    `parquet:"expires_at,timestamp(millisecond:utc)"`
	RevokedAt    int64    `parquet:"revoked_at,timestamp(millisecond:utc)"`
	Version      uint64   `parquet:"version"`

	CallsPerSecond uint32 `parquet:"calls_per_second"` // 0 in older files, which do not have it
}

// EncodeAPIKeys makes a file of what is kept of keys: never a key.
func EncodeAPIKeys(all []click.APIKey) ([]byte, error) {
	return encode(all, func(k *click.APIKey) apiKeyRow {
		return apiKeyRow{
			k.ID, k.Hash, string(k.Role), k.AdvertiserID, k.Name,
			k.CreatedAt.UnixMilli(), milliOrNever(k.ExpiresAt), milliOrNever(k.RevokedAt), k.Version, k.CallsPerSecond,
		}
	})
}

// DecodeAPIKeys reads what EncodeAPIKeys wrote.
func DecodeAPIKeys(file []byte) ([]click.APIKey, error) {
	return decode(file, func(r *apiKeyRow) click.APIKey {
		return click.APIKey{
			ID: r.ID, Hash: r.Hash, Role: click.Role(r.Role), AdvertiserID: r.AdvertiserID, Name: r.Name,
			CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), ExpiresAt: timeOrNever(r.ExpiresAt), RevokedAt: timeOrNever(r.RevokedAt), Version: r.Version,
			CallsPerSecond: r.CallsPerSecond,
		}
	})
}

func milliOrNever(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOrNever(milli int64) time.Time {
	if milli == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milli).UTC()
}

type auditRow struct {
	At           int64  `parquet:"at,timestamp(microsecond:utc)"`
	ID           int64  `parquet:"event_id"`
	EndedAt      int64  `parquet:"ended_at,timestamp(microsecond:utc)"` // 0: of the row of its beginning
	Method       string `parquet:"method,dict"`
	KeyID        int64  `parquet:"key_id"`
	Role         string `parquet:"role,dict"`
	AdvertiserID int64  `parquet:"advertiser_id"`
	Subject      string `parquet:"subject"`
	Detail       string `parquet:"detail"`
	Code         string `parquet:"code,dict"`
	Message      string `parquet:"message"`
}

// EncodeAuditEvents makes a file of rows of the audit.
func EncodeAuditEvents(all []click.AuditEvent) ([]byte, error) {
	return encode(all, func(e *click.AuditEvent) auditRow {
		ended := int64(0)
		if !e.EndedAt.IsZero() {
			ended = e.EndedAt.UnixMicro()
		}
		return auditRow{
			e.At.UnixMicro(), e.ID, ended, e.Method, e.KeyID, string(e.Role), e.AdvertiserID, e.Subject, e.Detail, e.Code, e.Message,
		}
	})
}

// DecodeAuditEvents reads what EncodeAuditEvents wrote.
func DecodeAuditEvents(file []byte) ([]click.AuditEvent, error) {
	return decode(file, func(r *auditRow) click.AuditEvent {
		e := click.AuditEvent{
			ID: r.ID, At: time.UnixMicro(r.At).UTC(), Method: r.Method, KeyID: r.KeyID, Role: click.Role(r.Role),
			AdvertiserID: r.AdvertiserID, Subject: r.Subject, Detail: r.Detail, Code: r.Code, Message: r.Message,
		}
		if r.EndedAt != 0 {
			e.EndedAt = time.UnixMicro(r.EndedAt).UTC()
		}
		return e
	})
}

type restatementRow struct {
	AdvertiserID    int64  `parquet:"advertiser_id"`
	AdID            int64  `parquet:"ad_id"`
	Minute          int64  `parquet:"minute,timestamp(millisecond:utc)"`
	ReplacedVersion uint64 `parquet:"replaced_version"`
	At              int64  `parquet:"at,timestamp(microsecond:utc)"`
	Before          uint64 `parquet:"before"`
	After           uint64 `parquet:"after"`
	Reason          string `parquet:"reason,dict"`
}

// EncodeRestatements makes a file of restatements.
func EncodeRestatements(all []click.Restatement) ([]byte, error) {
	return encode(all, func(r *click.Restatement) restatementRow {
		return restatementRow{r.AdvertiserID, r.AdID, r.Minute.UnixMilli(), r.ReplacedVersion, r.At.UnixMicro(), r.Before, r.After, r.Reason}
	})
}

// DecodeRestatements reads what EncodeRestatements wrote.
func DecodeRestatements(file []byte) ([]click.Restatement, error) {
	return decode(file, func(r *restatementRow) click.Restatement {
		return click.Restatement{
			AdvertiserID: r.AdvertiserID, AdID: r.AdID, Minute: time.UnixMilli(r.Minute).UTC(), ReplacedVersion: r.ReplacedVersion,
			At: time.UnixMicro(r.At).UTC(), Before: r.Before, After: r.After, Reason: r.Reason,
		}
	})
}

type sealRow struct {
	Minute  int64  `parquet:"minute,timestamp(millisecond:utc)"`
	Version uint64 `parquet:"version"`
	State   string `parquet:"state,dict"`
	At      int64  `parquet:"sealed_at,timestamp(millisecond:utc)"`
}

// EncodeSeals makes a file of when minutes were sealed.
func EncodeSeals(all []click.SealTime) ([]byte, error) {
	return encode(all, func(s *click.SealTime) sealRow {
		return sealRow{s.Minute.UnixMilli(), s.Version, s.State, s.At.UnixMilli()}
	})
}

// DecodeSeals reads what EncodeSeals wrote.
func DecodeSeals(file []byte) ([]click.SealTime, error) {
	return decode(file, func(r *sealRow) click.SealTime {
		return click.SealTime{Minute: time.UnixMilli(r.Minute).UTC(), Version: r.Version, State: r.State, At: time.UnixMilli(r.At).UTC()}
	})
}
