package server

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"clickledger/internal/click"
	"clickledger/internal/config"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// limitsAt are limits whose clock a test moves.
func limitsAt(t *testing.T, now *time.Time) *callLimits {
	t.Helper()
	limits, err := newCallLimits(config.Config{
		AdvertiserCallsPerSecond: 10, PublisherCallsPerSecond: 50, AdminCallsPerSecond: 20, ChangesPerSecond: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	limits.now = func() time.Time { return *now }
	return limits
}

// taken is how many of calls are let pass.
func taken(limits *callLimits, p Principal, calls int, change bool) int {
	passed := 0
	for range calls {
		if limits.check(p, change) == nil {
			passed++
		}
	}
	return passed
}

func TestEachKeyHasTheLimitOfItsRoleOrItsOwn(t *testing.T) {
	now := time.Now()
	limits := limitsAt(t, &now)
	for i, c := range []struct {
		who    Principal
		change bool
		want   int
	}{
		{Principal{Role: click.RoleAdvertiser, KeyID: 1}, false, 10},
		{Principal{Role: click.RoleAdvertiser, KeyID: 2}, false, 10}, // another key, another limit
		{Principal{Role: click.RoleAdvertiser, KeyID: 3, CallsPerSecond: 33}, false, 33},
		{Principal{Role: click.RolePublisher, KeyID: 4}, false, 50},
		{Principal{Role: click.RoleAdmin, KeyID: 5}, false, 20},
		{Principal{Role: click.RolePublisher, KeyID: 6}, true, 2 * changesBurst},
		{Principal{Role: click.RoleAdmin}, true, 1_000}, // the operator
	} {
		if got := taken(limits, c.who, 1_000, c.change); got != c.want {
			t.Errorf("%d: %d calls were taken, want %d", i, got, c.want)
		}
	}
	now = now.Add(500 * time.Millisecond)
	if got := taken(limits, Principal{Role: click.RoleAdvertiser, KeyID: 1}, 1_000, false); got != 5 {
		t.Errorf("half a second later %d calls were taken, want 5", got)
	}
}

func TestACallTooManyIsToldWhenToComeBack(t *testing.T) {
	now := time.Now()
	limits := limitsAt(t, &now)
	p := Principal{Role: click.RoleAdvertiser, KeyID: 1}
	taken(limits, p, 10, false)
	for range 3 { // who is refused is not put off further
		err := limits.check(p, false)
		wantCode(t, "the eleventh", err, connect.CodeResourceExhausted)
		if got := retryInfo(t, err); got != 100*time.Millisecond {
			t.Errorf("come back in %v", got)
		}
		var told *connect.Error
		if errors.As(err, &told); told.Meta().Get("Retry-After") != "1" {
			t.Errorf("header %v", told.Meta())
		}
	}
	now = now.Add(100 * time.Millisecond)
	if err := limits.check(p, false); err != nil {
		t.Errorf("when it comes back: %v", err)
	}
}

// retryInfo is the google.rpc.RetryInfo of an error.
func retryInfo(t *testing.T, err error) time.Duration {
	t.Helper()
	var told *connect.Error
	if !errors.As(err, &told) {
		t.Fatalf("%v is no Connect error", err)
	}
	for _, detail := range told.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.RetryInfo); ok {
				return info.GetRetryDelay().AsDuration()
			}
		}
	}
	t.Fatalf("%v has no RetryInfo", err)
	return 0
}

// Over the wire, with the settings of newGateway and a key with a limit of its own.
func TestAKeyThatCallsTooOftenIsRefusedAndClicksGoOn(t *testing.T) {
	g := newGateway(t)
	id, _, ad := g.advertiser(t)
	made, err := g.as(testAdminKey).CreateApiKey(t.Context(), &v1.CreateApiKeyRequest{
		Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: id, CallsPerSecond: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	slow := g.as(made.GetApiKey())
	var refused error
	for range 20 {
		if _, err := slow.GetAd(t.Context(), &v1.GetAdRequest{AdId: ad.GetAdId()}); err != nil {
			refused = err
		}
	}
	wantCode(t, "twenty calls at once", refused, connect.CodeResourceExhausted)
	if wait := retryInfo(t, refused); wait <= 0 || wait > time.Second {
		t.Errorf("come back in %v", wait)
	}
	keys, err := g.as(testAdminKey).ListApiKeys(t.Context(), &v1.ListApiKeysRequest{AdvertiserId: id})
	if err != nil || len(keys.GetApiKeys()) != 2 || keys.GetApiKeys()[0].GetCallsPerSecond()+keys.GetApiKeys()[1].GetCallsPerSecond() != 1 {
		t.Errorf("the limit is listed as %v, %v", keys, err)
	}
	for range 100 {
		token := g.token(t, ad.GetAdId(), 0)
		if answer := g.request(t, http.MethodGet, clickPath+"?t="+token, http.Header{"Authorization": {"Bearer " + made.GetApiKey()}}); answer.status != http.StatusFound {
			t.Fatalf("a click is answered %d", answer.status)
		}
		if _, err := slow.RecordClick(t.Context(), &v1.RecordClickRequest{Token: token}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAdvertiserHasABoundedNumberOfKeys(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	api, ctx := g.as(key), t.Context()
	request := &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: id}
	var last *v1.CreateApiKeyResponse
	for i := range keysPerAdvertiserMax - 1 {
		var err error
		if last, err = api.CreateApiKey(ctx, request); err != nil {
			t.Fatalf("key %d: %v", i+2, err)
		}
	}
	_, err := api.CreateApiKey(ctx, request)
	wantCode(t, "one too many", err, connect.CodeFailedPrecondition)
	if _, err := api.RevokeApiKey(ctx, &v1.RevokeApiKeyRequest{KeyId: last.GetKeyId()}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateApiKey(ctx, request); err != nil {
		t.Errorf("after one was revoked: %v", err)
	}
}

func TestTwoFirstCallsOfAKeyShareOneLimit(t *testing.T) {
	now := time.Now()
	limits := limitsAt(t, &now)
	var passed atomic.Int64
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if limits.check(Principal{Role: click.RoleAdvertiser, KeyID: 1}, false) == nil {
				passed.Add(1)
			}
		})
	}
	wait.Wait()
	if passed.Load() != 10 {
		t.Errorf("%d calls were taken, want 10", passed.Load())
	}
}

func TestARoleWithoutALimitIsAMistakeNotAFreePass(t *testing.T) {
	now := time.Now()
	if err := limitsAt(t, &now).check(Principal{Role: "OTHER", KeyID: 9}, false); err == nil {
		t.Error(fmt.Errorf("it was let pass"))
	}
}
