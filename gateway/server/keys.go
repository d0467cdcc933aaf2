package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"clickledger/internal/click"
)

// An API key as it is shown: clk_ID_SECRET, the key's id in decimal and 32
// random bytes in base64url. Stored is its SHA-256: the secret is as random as
// a hash, so it needs no slow one.
const (
	keyPrefix      = "clk_"
	keySecretBytes = 32
	keyCharsMax    = 4 + 20 + 1 + 43

	keyConfirmInterval  = 5 * time.Second
	keyUnconfirmedMax   = 10 * time.Minute
	keyLoadTimeout      = 2 * time.Second
	keyRetryAfter       = time.Second
	keysKnownMax        = 100_000
	keyLookUpsPerSecond = 500 // of ids not known to exist: what a guesser can make the store do
)

var (
	errKeyMissing  = errors.New("an API key is needed: send the header Authorization: Bearer KEY")
	errKeyInvalid  = errors.New("the API key is not valid")
	errKeyGuessing = errors.New("too many unknown API keys are being tried: try again in a moment")
)

// keyReader is the store of keys.
type keyReader interface {
	APIKey(ctx context.Context, keyID int64) (click.APIKey, error)
}

// Principal is who calls.
type Principal struct {
	Role         click.Role
	AdvertiserID int64 // 0 unless Role is RoleAdvertiser
	KeyID        int64 // 0: the operator's key of the configuration

	CallsPerSecond uint32 // 0: what its role has
}

// Keys tells who the holder of an API key is. What the store said of a key is
// believed for five seconds, counted from before it was asked, and for ten
// minutes while the store is away; its end is looked at with each use. It is safe
// for concurrent use.
type Keys struct {
	admin   [32]byte
	store   keyReader
	now     func() time.Time
	known   *otter.Cache[int64, *knownKey]
	loads   singleflight.Group
	lookUps *rate.Limiter

	mu        sync.Mutex // what was heard of a key is kept, or the key forgotten: one at a time
	forgotten uint64     // keys so far
}

type knownKey struct {
	key       click.APIKey
	missing   bool
	confirmed time.Time
	askAgain  time.Time
}

// NewKeys makes the look-up of keys over the store; adminKey is the operator's.
func NewKeys(adminKey string, store keyReader) (*Keys, error) {
	if adminKey == "" || store == nil {
		return nil, errors.New("keys need the admin key and a store")
	}
	known, err := otter.New(&otter.Options[int64, *knownKey]{
		MaximumSize:      keysKnownMax,
		ExpiryCalculator: otter.ExpiryWriting[int64, *knownKey](keyUnconfirmedMax),
	})
	if err != nil {
		return nil, fmt.Errorf("make the cache of keys: %w", err)
	}
	return &Keys{
		admin: sha256.Sum256([]byte(adminKey)), store: store, now: time.Now, known: known,
		lookUps: rate.NewLimiter(keyLookUpsPerSecond, keyLookUpsPerSecond),
	}, nil
}

// Authenticate reads the value of an Authorization header. Its errors are
// errKeyMissing, errKeyInvalid, errKeyGuessing, or wrap click.ErrUnavailable
// when a key could not be confirmed.
func (k *Keys) Authenticate(ctx context.Context, header string) (Principal, error) {
	shown, ok := shownKey(header)
	if !ok {
		return Principal{}, errKeyMissing
	}
	hash := sha256.Sum256([]byte(shown))
	if subtle.ConstantTimeCompare(hash[:], k.admin[:]) == 1 {
		return Principal{Role: click.RoleAdmin}, nil
	}
	id, ok := keyID(shown)
	if !ok {
		return Principal{}, errKeyInvalid
	}
	known, err := k.confirmed(ctx, id)
	if err != nil {
		return Principal{}, err
	}
	if known.missing || subtle.ConstantTimeCompare(hash[:], known.key.Hash[:]) != 1 || !known.key.Usable(k.now()) {
		return Principal{}, errKeyInvalid // one answer for all: it says nothing about the key
	}
	return Principal{
		Role: known.key.Role, AdvertiserID: known.key.AdvertiserID, KeyID: id, CallsPerSecond: known.key.CallsPerSecond,
	}, nil
}

// shownKey is the key in the value of an Authorization header, if there is one.
func shownKey(header string) (string, bool) {
	scheme, shown, _ := strings.Cut(header, " ")
	shown = strings.TrimSpace(shown)
	return shown, strings.EqualFold(scheme, "Bearer") && shown != ""
}

// Forget makes the next use of a key ask the store: after it was changed here, or
// at another gateway. While the store is away, a key that was forgotten is refused.
func (k *Keys) Forget(keyID int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgotten++
	k.loads.Forget(strconv.FormatInt(keyID, 10))
	k.known.Invalidate(keyID)
}

func (k *Keys) forgottenSoFar() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.forgotten
}

func (k *Keys) confirmed(ctx context.Context, id int64) (*knownKey, error) {
	now := k.now()
	known, ok := k.known.GetIfPresent(id)
	if ok && now.Before(known.askAgain) {
		return known, nil
	}
	if (!ok || known.missing) && !k.lookUps.AllowN(now, 1) {
		return nil, errKeyGuessing
	}
	loading := k.loads.DoChan(strconv.FormatInt(id, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLoadTimeout)
		defer cancel()
		return k.load(ctx, id)
	})
	var err error
	select {
	case result := <-loading:
		if result.Err == nil {
			return result.Val.(*knownKey), nil
		}
		err = result.Err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if !ok || known.missing || now.Sub(known.confirmed) >= keyUnconfirmedMax || !k.believeOn(id, *known, now) {
		return nil, fmt.Errorf("confirm API key: %w: %w", click.ErrUnavailable, err)
	}
	return known, nil
}

// believeOn makes the store be asked for a key a moment later, unless the key was
// forgotten while it did not answer.
func (k *Keys) believeOn(id int64, known knownKey, now time.Time) bool {
	known.askAgain = now.Add(keyRetryAfter)
	k.mu.Lock()
	defer k.mu.Unlock()
	newest, still := k.known.GetIfPresent(id)
	if still && !newest.confirmed.After(known.confirmed) {
		k.known.Set(id, &known)
	}
	return still
}

func (k *Keys) load(ctx context.Context, id int64) (*knownKey, error) {
	now, forgotten := k.now(), k.forgottenSoFar() // before asking: what is heard is at least as old as this
	key, err := k.store.APIKey(ctx, id)
	missing := errors.Is(err, click.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	known := &knownKey{key: key, missing: missing, confirmed: now, askAgain: now.Add(keyConfirmInterval)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.forgotten == forgotten { // else it may be older than what was heard of it meanwhile
		k.known.Set(id, known)
	}
	return known, nil
}

// keyID is the id in a key as it is shown.
func keyID(shown string) (int64, bool) {
	rest, ok := strings.CutPrefix(shown, keyPrefix)
	if !ok || len(shown) > keyCharsMax {
		return 0, false
	}
	digits, secret, ok := strings.Cut(rest, "_")
	if !ok || len(secret) != base64.RawURLEncoding.EncodedLen(keySecretBytes) {
		return 0, false
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, err == nil && id > 0
}

// newKey draws an API key: the text to show once, and what is stored of it.
func newKey(role click.Role, advertiserID int64, name string, now time.Time) (string, click.APIKey, error) {
	id, err := newID()
	if err != nil {
		return "", click.APIKey{}, err
	}
	var secret [keySecretBytes]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", click.APIKey{}, fmt.Errorf("draw an API key: %w", err)
	}
	shown := keyPrefix + strconv.FormatInt(id, 10) + "_" + base64.RawURLEncoding.EncodeToString(secret[:])
	return shown, click.APIKey{
		ID: id, Hash: sha256.Sum256([]byte(shown)), Role: role,
		AdvertiserID: advertiserID, Name: name, CreatedAt: now.UTC().Truncate(time.Millisecond),
	}, nil
}
