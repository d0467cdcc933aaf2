package click

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// A click token is, before base64url without padding (RFC 4648, section 5):
//
//	version 1B | key id 1B | fan-out 1B | ad id 8B | impression id 16B | HMAC-SHA256 truncated to 16B
//
// Integers are big endian. The HMAC covers all that stands before it. The
// issue time is that of the impression id; there is no field of its own.
const (
	tokenVersion  = 1
	tokenBody     = 1 + 1 + 1 + 8 + 16
	tokenMAC      = 16
	tokenBytes    = tokenBody + tokenMAC
	tokenKeyBytes = 32

	// TokenLength is the length of an encoded token, in characters.
	TokenLength = (tokenBytes*8 + 5) / 6

	// clockSkew is how far in the future a token may claim to be issued.
	clockSkew = 2 * time.Second
)

// What can be wrong with a token. ErrTokenExpired is returned together with
// the token: it is genuine and still names the ad to redirect to.
var (
	ErrTokenShape     = errors.New("the token is malformed")
	ErrTokenSignature = errors.New("the token is not signed by a known key")
	ErrTokenFuture    = errors.New("the token was issued in the future")
	ErrTokenExpired   = errors.New("the token has expired")
)

// Token is what a click token says.
type Token struct {
	AdID       int64 // positive
	Impression ImpressionID
	FanOut     uint8 // partitions the ad's clicks are spread over, at least 1
}

// Key is one signing key. Its id is written into the tokens it signs.
type Key struct {
	ID     uint8
	Secret []byte // 32 bytes
}

// Keyring signs with its first key and verifies with all of them. It is safe
// for concurrent use.
type Keyring struct {
	signer   uint8
	keys     [256]*keyState
	validity time.Duration
}

// keyState pools HMAC states: keying one costs two SHA-256 blocks, as much as
// the signature itself.
type keyState struct{ pool sync.Pool }

// NewKeyring makes a keyring whose tokens are valid for validity. It refuses no
// keys, keys of another length than 32 bytes and two keys of the same id.
func NewKeyring(keys []Key, validity time.Duration) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("no token key")
	}
	if validity <= 0 {
		return nil, fmt.Errorf("token validity %v is not positive", validity)
	}
	ring := &Keyring{signer: keys[0].ID, validity: validity}
	for _, key := range keys {
		if len(key.Secret) != tokenKeyBytes {
			return nil, fmt.Errorf("token key %d has %d bytes, not %d", key.ID, len(key.Secret), tokenKeyBytes)
		}
		if ring.keys[key.ID] != nil {
			return nil, fmt.Errorf("token key %d is given twice", key.ID)
		}
		secret := append([]byte(nil), key.Secret...)
		ring.keys[key.ID] = &keyState{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
	}
	return ring, nil
}

// Validity is how long a token counts after it was issued: the dedup horizon.
func (r *Keyring) Validity() time.Duration { return r.validity }

// Sign encodes and signs t with the first key.
func (r *Keyring) Sign(t Token) string {
	var raw [tokenBytes]byte
	raw[0], raw[1], raw[2] = tokenVersion, r.signer, t.FanOut
	binary.BigEndian.PutUint64(raw[3:11], uint64(t.AdID))
	copy(raw[11:27], t.Impression[:])
	r.keys[r.signer].sum(raw[:tokenBody], raw[tokenBody:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Verify decodes text and checks it at time now. The error is ErrTokenShape,
// ErrTokenSignature, ErrTokenFuture, or ErrTokenExpired with the genuine token.
func (r *Keyring) Verify(text string, now time.Time) (Token, error) {
	if len(text) != TokenLength {
		return Token{}, ErrTokenShape
	}
	var in [TokenLength]byte
	var raw [tokenBytes]byte
	copy(in[:], text)
	// Strict: one token has one spelling, no stray bits in its last character.
	if n, err := strictEncoding.Decode(raw[:], in[:]); err != nil || n != tokenBytes {
		return Token{}, ErrTokenShape
	}
	if raw[0] != tokenVersion {
		return Token{}, ErrTokenShape
	}
	key := r.keys[raw[1]]
	if key == nil {
		return Token{}, ErrTokenSignature
	}
	var want [tokenMAC]byte
	key.sum(raw[:tokenBody], want[:])
	if !hmac.Equal(want[:], raw[tokenBody:]) {
		return Token{}, ErrTokenSignature
	}
	t := Token{AdID: int64(binary.BigEndian.Uint64(raw[3:11])), FanOut: raw[2]}
	copy(t.Impression[:], raw[11:27])
	if t.AdID <= 0 || t.FanOut == 0 || !t.Impression.valid() {
		return Token{}, ErrTokenShape
	}
	issued := t.Impression.IssuedAt()
	if issued.After(now.Add(clockSkew)) {
		return Token{}, ErrTokenFuture
	}
	if now.Sub(issued) >= r.validity {
		return t, ErrTokenExpired
	}
	return t, nil
}

var strictEncoding = base64.RawURLEncoding.Strict()

// sum writes the truncated HMAC of body into out, which has tokenMAC bytes.
func (k *keyState) sum(body, out []byte) {
	mac := k.pool.Get().(hash.Hash)
	mac.Reset()
	mac.Write(body)
	var full [sha256.Size]byte
	copy(out, mac.Sum(full[:0]))
	k.pool.Put(mac)
}
