package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/poll"
)

const (
	revokeTimeout = 30 * time.Second
	// revokeTime is within what a revoked key ends at every gateway.
	revokeTime = 5 * time.Second
	// expireAfter leaves the gateways time to see that the key is good.
	expireAfter = 8 * time.Second
)

// waitForEnd waits until a key is answered unauthenticated at a gateway. One that is
// still taken by a call that began after the time is up is a fault.
func waitForEnd(t *testing.T, url, key string, advertiserID int64, latest time.Time) {
	t.Helper()
	api := client.New(url, key)
	err := poll.Until(t.Context(), revokeTimeout, askInterval, func(ctx context.Context) error {
		begun := time.Now()
		_, err := api.Catalog.ListAds(ctx, &v1.ListAdsRequest{AdvertiserId: advertiserID})
		switch {
		case connect.CodeOf(err) == connect.CodeUnauthenticated:
			return nil
		case err == nil && begun.After(latest):
			t.Errorf("a call that began %v too late was answered", begun.Sub(latest))
			return nil
		case err == nil:
			return errors.New("the key is still good")
		default:
			return fmt.Errorf("the key is answered %w", err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// newKey makes a key of the advertiser that both gateways have seen to be good.
func (p *port) newKey(t *testing.T, urls []string, expires time.Time) *v1.CreateApiKeyResponse {
	t.Helper()
	request := &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: p.own.ID, Name: "to end"}
	if !expires.IsZero() {
		request.ExpireTime = timestamppb.New(expires)
	}
	made, err := p.own.API.Catalog.CreateApiKey(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		if _, err := client.New(url, made.GetApiKey()).Catalog.ListAds(t.Context(), &v1.ListAdsRequest{AdvertiserId: p.own.ID}); err != nil {
			t.Fatalf("a new key at %s: %v", url, err)
		}
	}
	return made
}

// Two gateways that have both just seen the key.
func (p *port) testKeysEnd(t *testing.T) {
	_, second := p.fleet.AnotherGateway(t, nil)
	urls := []string{p.fleet.URL, second}
	revoked := p.newKey(t, urls, time.Time{})
	latest := time.Time{}
	for range 2 { // twice is no error
		if _, err := p.own.API.Catalog.RevokeApiKey(t.Context(), &v1.RevokeApiKeyRequest{KeyId: revoked.GetKeyId()}); err != nil {
			t.Fatal(err)
		}
		if latest.IsZero() {
			latest = time.Now().Add(revokeTime)
		}
	}
	for _, url := range urls {
		waitForEnd(t, url, revoked.GetApiKey(), p.own.ID, latest)
	}
	end := time.Now().Add(expireAfter)
	expired := p.newKey(t, urls, end)
	for _, url := range urls {
		waitForEnd(t, url, expired.GetApiKey(), p.own.ID, end)
	}
	if time.Now().Before(end) {
		t.Error("a key ended before its time")
	}
	for method, times := range map[string]int{"CatalogService/CreateApiKey": 1, "CatalogService/RevokeApiKey": 2} {
		events, err := p.fleet.Admin.Operations.ListAuditEvents(t.Context(), &v1.ListAuditEventsRequest{
			Method: method, Subject: fmt.Sprint("key ", revoked.GetKeyId()),
		})
		if err != nil || len(events.GetEvents()) != times || events.GetEvents()[0].GetCode() != "ok" || events.GetEvents()[0].GetKeyId() != keyIDOf(p.own.Key) {
			t.Errorf("the audit of %s: %v, %v", method, events, err)
		}
	}
}

func (p *port) testCallsAreLimited(t *testing.T) {
	made, err := p.fleet.Admin.Catalog.CreateApiKey(t.Context(), &v1.CreateApiKeyRequest{
		Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: p.own.ID, CallsPerSecond: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf(`{"advertiser_id":"%d"}`, p.own.ID)
	for range 50 {
		answer := p.call(t, "CatalogService/ListAds", made.GetApiKey(), own)
		if answer.Status == http.StatusOK {
			continue
		}
		expectFault(t, answer, "resource_exhausted", "1 calls a second", "try again in")
		if after, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || after < 1 {
			t.Errorf("Retry-After is %q", answer.Header.Get("Retry-After"))
		}
		p.click(t) // clicks have no key
		return
	}
	t.Error("fifty calls in a row were taken")
}
