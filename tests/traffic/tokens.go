package traffic

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

// Forger signs tokens that the gateway would never issue: with the deployment's
// own key, but another time or ad, or with a key of its own.
type Forger struct {
	own      *click.Keyring
	stranger *click.Keyring
	validity time.Duration
}

// NewForger knows the signing keys of c.
func NewForger(c config.Config) (*Forger, error) {
	own, err := click.NewKeyring(c.TokenKeys, c.TokenValidity)
	if err != nil {
		return nil, fmt.Errorf("read token keys: %w", err)
	}
	key := click.Key{ID: c.TokenKeys[0].ID, Secret: make([]byte, len(c.TokenKeys[0].Secret))}
	if _, err := rand.Read(key.Secret); err != nil {
		return nil, fmt.Errorf("draw a key: %w", err)
	}
	stranger, err := click.NewKeyring([]click.Key{key}, c.TokenValidity)
	if err != nil {
		return nil, fmt.Errorf("make a stranger's key: %w", err)
	}
	return &Forger{own: own, stranger: stranger, validity: c.TokenValidity}, nil
}

// Issued is a genuine token of an ad, issued at a time of choice.
func (f *Forger) Issued(adID int64, at time.Time) string { return sign(f.own, adID, at) }

// Expired is a genuine token whose time is over.
func (f *Forger) Expired(adID int64) string {
	return sign(f.own, adID, time.Now().Add(-f.validity-time.Minute))
}

// Forged is a token of the right shape that somebody else signed.
func (f *Forger) Forged(adID int64) string { return sign(f.stranger, adID, time.Now()) }

func sign(keys *click.Keyring, adID int64, at time.Time) string {
	impression, err := click.NewImpressionID(at, rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return keys.Sign(click.Token{AdID: adID, Impression: impression, FanOut: 1})
}

// Flipped is token with one bit of its decoded form changed.
func Flipped(token string, bit int) string {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return token
	}
	raw[bit/8] ^= 1 << (bit % 8)
	return base64.RawURLEncoding.EncodeToString(raw)
}
