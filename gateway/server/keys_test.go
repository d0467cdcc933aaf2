package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"clickledger/internal/click"
)

// keysAt is a look-up of keys whose clock a test moves, and one stored key.
func keysAt(t *testing.T, now *time.Time) (*Keys, *memoryStore, string, int64) {
	t.Helper()
	store := newMemoryStore()
	keys, err := NewKeys(testAdminKey, store)
	if err != nil {
		t.Fatal(err)
	}
	keys.now = func() time.Time { return *now }
	shown, key, err := newKey(click.RoleAdvertiser, 7, "k", *now)
	if err != nil {
		t.Fatal(err)
	}
	store.keys[key.ID] = key
	return keys, store, shown, key.ID
}

func TestKeysTellWhoCalls(t *testing.T) {
	now := time.Now()
	keys, _, shown, id := keysAt(t, &now)
	for header, want := range map[string]Principal{
		"Bearer " + testAdminKey: {Role: click.RoleAdmin},
		"bearer " + shown:        {Role: click.RoleAdvertiser, AdvertiserID: 7, KeyID: id},
	} {
		if got, err := keys.Authenticate(t.Context(), header); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for header, want := range map[string]error{
		"":                                     errKeyMissing,
		"Bearer ":                              errKeyMissing,
		shown:                                  errKeyMissing,
		"Basic " + shown:                       errKeyMissing,
		"Bearer x":                             errKeyInvalid,
		"Bearer " + testAdminKey + "x":         errKeyInvalid,
		"Bearer " + shown[:len(shown)-1] + "!": errKeyInvalid,
		"Bearer " + shown + "x":                errKeyInvalid,
		"Bearer clk_-5_" + shown[strings.LastIndex(shown, "_")+1:]: errKeyInvalid,
		"Bearer clk_5_" + strings.Repeat("A", 43):                  errKeyInvalid,
	} {
		if _, err := keys.Authenticate(t.Context(), header); !errors.Is(err, want) {
			t.Errorf("%.20q: %v", header, err)
		}
	}
}

func TestRevokedAndExpiredKeysEndWithinFiveSeconds(t *testing.T) {
	now := time.Now()
	keys, store, shown, id := keysAt(t, &now)
	header := "Bearer " + shown
	for range 3 {
		if _, err := keys.Authenticate(t.Context(), header); err != nil {
			t.Fatal(err)
		}
	}
	if n := store.readCount(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	key := store.keys[id]
	key.RevokedAt = now
	store.keys[id] = key
	now = now.Add(keyConfirmInterval)
	if _, err := keys.Authenticate(t.Context(), header); !errors.Is(err, errKeyInvalid) {
		t.Errorf("a revoked key: %v", err)
	}
	key.RevokedAt, key.ExpiresAt = time.Time{}, now.Add(time.Second)
	store.keys[id] = key
	keys.Forget(id)
	if _, err := keys.Authenticate(t.Context(), header); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	now = now.Add(time.Second)
	if _, err := keys.Authenticate(t.Context(), header); !errors.Is(err, errKeyInvalid) {
		t.Errorf("an expired key: %v", err)
	}
}

func TestAwayStoreLocksNobodyOutForTenMinutes(t *testing.T) {
	now := time.Now()
	keys, store, shown, _ := keysAt(t, &now)
	header := "Bearer " + shown
	if _, err := keys.Authenticate(t.Context(), header); err != nil {
		t.Fatal(err)
	}
	store.goAway()
	now = now.Add(keyUnconfirmedMax - time.Second)
	if _, err := keys.Authenticate(t.Context(), header); err != nil {
		t.Errorf("after nearly ten minutes: %v", err)
	}
	now = now.Add(2 * time.Second)
	if _, err := keys.Authenticate(t.Context(), header); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("after ten minutes: %v", err)
	}
	if _, err := keys.Authenticate(t.Context(), "Bearer "+testAdminKey); err != nil {
		t.Errorf("the operator: %v", err)
	}
}

// heldKeys is a store that answers when it is let go.
type heldKeys struct {
	*memoryStore
	asked, letGo chan struct{}
}

func (s heldKeys) APIKey(ctx context.Context, id int64) (click.APIKey, error) {
	key, err := s.memoryStore.APIKey(ctx, id)
	s.asked <- struct{}{}
	<-s.letGo
	return key, err
}

// A gateway hears that a key was revoked while it waits for the store.
func TestAForgottenKeyIsNotBelievedBecauseTheStoreWasBeingAsked(t *testing.T) {
	for _, away := range []bool{false, true} {
		now := time.Now()
		keys, store, shown, id := keysAt(t, &now)
		header := "Bearer " + shown
		if _, err := keys.Authenticate(t.Context(), header); err != nil {
			t.Fatal(err)
		}
		held := heldKeys{store, make(chan struct{}), make(chan struct{})}
		keys.store = held
		now = now.Add(keyConfirmInterval)
		if away {
			store.goAway()
		}
		done := make(chan error)
		go func() {
			_, err := keys.Authenticate(t.Context(), header)
			done <- err
		}()
		<-held.asked
		keys.Forget(id)
		held.letGo <- struct{}{}
		if err := <-done; away && !errors.Is(err, click.ErrUnavailable) {
			t.Errorf("a key that was forgotten while the store was away: %v", err)
		}
		store.goAway()
		keys.store = store
		if _, err := keys.Authenticate(t.Context(), header); !errors.Is(err, click.ErrUnavailable) {
			t.Errorf("after that (away: %t): %v", away, err)
		}
	}
}

func TestGuessedKeyIDsAreBounded(t *testing.T) {
	now := time.Now()
	keys, store, _, _ := keysAt(t, &now)
	var err error
	for range keyLookUpsPerSecond + 1 {
		shown, _, drawErr := newKey(click.RoleAdmin, 0, "", now)
		if drawErr != nil {
			t.Fatal(drawErr)
		}
		_, err = keys.Authenticate(t.Context(), "Bearer "+shown)
	}
	if !errors.Is(err, errKeyGuessing) || store.readCount() != keyLookUpsPerSecond {
		t.Errorf("after %d look-ups: %v", store.readCount(), err)
	}
}

func TestGuessingTheSameKeyIDsAgainIsBoundedToo(t *testing.T) {
	now := time.Now()
	keys, store, _, _ := keysAt(t, &now)
	var guesses []string
	for range 2 * keyLookUpsPerSecond {
		shown, _, err := newKey(click.RoleAdmin, 0, "", now)
		if err != nil {
			t.Fatal(err)
		}
		guesses = append(guesses, "Bearer "+shown)
	}
	for i, guess := range guesses { // at a pace that is allowed
		if i == keyLookUpsPerSecond {
			now = now.Add(time.Second)
		}
		if _, err := keys.Authenticate(t.Context(), guess); !errors.Is(err, errKeyInvalid) {
			t.Fatal(err)
		}
	}
	now = now.Add(keyConfirmInterval) // what was heard of each is too old now
	before := store.readCount()
	for _, guess := range guesses {
		_, _ = keys.Authenticate(t.Context(), guess)
	}
	if n := store.readCount() - before; n != keyLookUpsPerSecond {
		t.Errorf("the store was asked %d times in one second", n)
	}
}
