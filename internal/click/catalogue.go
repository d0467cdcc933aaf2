package click

import "time"

// AdStatus says whether clicks on an ad count.
type AdStatus string

// The states of an ad.
const (
	AdActive AdStatus = "ACTIVE"
	AdPaused AdStatus = "PAUSED"
)

// Ad is one ad of the catalogue. Version grows with every change by its owner,
// FanOutVersion with every change of its fan-out, which is stored apart: neither
// undoes the other.
type Ad struct {
	ID           int64
	AdvertiserID int64
	Name         string
	LandingURL   string
	Status       AdStatus
	FanOut       uint8 // partitions its clicks are spread over; 1 for all but hot ads
	Version      uint64

	FanOutVersion uint64 // 0 while it was never a hot ad
}

// Revision orders what is known of one ad: an older one never replaces a newer
// one. It grows when either version does.
func (a Ad) Revision() uint64 { return a.Version + a.FanOutVersion }

// Advertiser is one customer.
type Advertiser struct {
	ID   int64
	Name string
}

// Role says what the holder of an API key may do.
type Role string

// The roles.
const (
	RoleAdmin      Role = "ADMIN"
	RolePublisher  Role = "PUBLISHER"
	RoleAdvertiser Role = "ADVERTISER"
)

// APIKey is what is kept of an API key: never the key, only its hash.
type APIKey struct {
	ID           int64
	Hash         [32]byte // SHA-256 of the whole key as it was shown
	Role         Role
	AdvertiserID int64 // 0 unless Role is RoleAdvertiser
	Name         string
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	RevokedAt    time.Time // zero: not revoked
	Version      uint64

	CallsPerSecond uint32 // at each gateway; 0: what its role has
}

// Usable reports whether the key opens anything at now.
func (k APIKey) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}
