package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"clickledger/internal/config"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/poll"
)

const (
	cacheAddr = config.Prefix + "VALKEY_CACHE_ADDR"
	// changeTimeout is far more than a second, for a busy machine, and far less
	// than the ten minutes an ad may be kept.
	changeTimeout  = 30 * time.Second
	changeInterval = 5 * time.Millisecond
)

// link is one gateway's way to the shared cache.
type link struct{ *toxiproxy.Proxy }

func newLinks(t *testing.T, count int) []link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	variables, err := config.LocalVariables()
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.LoadFrom(variables)
	if err != nil {
		t.Fatal(err)
	}
	links := make([]link, count)
	for i := range links {
		links[i] = link{toxiproxy.NewProxy(server, fmt.Sprint("cache ", i), "127.0.0.1:0", c.ValkeyCacheAddr)}
		if err := links[i].Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(links[i].Stop) // started again it listens where it did before
	}
	return links
}

func (l link) cut() { l.Stop() }

func (l link) mend(t *testing.T) {
	t.Helper()
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
}

// swallow has the link take everything and answer nothing.
func (l link) swallow(t *testing.T) {
	t.Helper()
	toxic := `{"name":"hole-%s","type":"timeout","stream":"%s","attributes":{"timeout":0}}`
	for _, stream := range []string{"upstream", "downstream"} {
		if _, err := l.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(toxic, stream, stream))); err != nil {
			t.Fatal(err)
		}
	}
}

// watchedAd is an ad whose changes are looked for at several gateways.
type watchedAd struct {
	id    int64
	token string
	edits int

	browser *http.Client
}

// change changes landing URL and status of the ad at one gateway, and waits until
// all of some gateways answer clicks accordingly.
func (a *watchedAd) change(t *testing.T, what string, admin *client.API, gateways ...string) {
	t.Helper()
	a.edits++
	url, status := fmt.Sprintf("https://example.com/edit/%d", a.edits), v1.AdStatus_AD_STATUS_ACTIVE
	if a.edits%2 == 1 {
		status = v1.AdStatus_AD_STATUS_PAUSED
	}
	if _, err := admin.Catalog.UpdateAd(t.Context(), &v1.UpdateAdRequest{AdId: a.id, LandingUrl: &url, Status: &status}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	a.await(t, what, gateways...)
}

// await waits until gateways answer clicks as the last change wants it.
func (a *watchedAd) await(t *testing.T, what string, gateways ...string) {
	t.Helper()
	began, url, paused := time.Now(), fmt.Sprintf("https://example.com/edit/%d", a.edits), a.edits%2 == 1
	for i, gateway := range gateways {
		err := poll.Until(t.Context(), changeTimeout, changeInterval, func(ctx context.Context) error {
			answer, err := client.Click(ctx, a.browser, gateway, a.token)
			switch {
			case err != nil:
				return err
			case answer.Status != http.StatusFound || answer.Location != url:
				return fmt.Errorf("%d to %s, not to %s", answer.Status, answer.Location, url)
			case answer.Recorded() == paused:
				return errors.New("it counts, or does not, as before")
			default:
				return nil
			}
		})
		if err != nil {
			t.Errorf("%s: gateway %d: %v", what, i+1, err)
		}
		t.Logf("%s: gateway %d after %v", what, i+1, time.Since(began).Round(time.Millisecond))
	}
}

// A paused ad, or one with another landing URL, is so at every gateway, whatever
// happens to the cache that tells them of it, and to who made the change.
func TestAChangedAdTakesEffectAtEveryGateway(t *testing.T) {
	t.Parallel()
	links := newLinks(t, 2)
	f := fleet.Start(t, programs, map[string]string{cacheAddr: links[0].Listen})
	t.Cleanup(func() { _ = links[0].Start() }) // what removes the namespace goes the same way
	_, second := f.AnotherGateway(t, map[string]string{cacheAddr: links[1].Listen})
	first := f.URL
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Changed", 1)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := f.Admin.Issue(t.Context(), advertiser.Ads[0].GetAdId(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ad := &watchedAd{id: advertiser.Ads[0].GetAdId(), token: issued[0].GetToken(), browser: client.NewHTTP()}

	for range 4 {
		ad.change(t, "all is well", f.Admin, first, second)
	}
	links[1].cut()
	ad.change(t, "the second gateway's connection is cut", f.Admin, first, second)
	links[1].mend(t)
	ad.change(t, "just mended", f.Admin, first, second)
	links[1].swallow(t)
	ad.change(t, "the second gateway hears nothing", f.Admin, first, second)
	links[1].Toxics.ResetToxics(t.Context())
	ad.await(t, "heard again", first, second)
	links[0].cut()
	ad.change(t, "the changer's connection is cut", f.Admin, first, second)
	links[1].cut()
	ad.change(t, "the cache is away for all", f.Admin, first, second)

	// The one who made the change dies with what it would tell the cache.
	ad.change(t, "while the cache is away", f.Admin, first)
	if err := f.Gateway.Kill(); err != nil {
		t.Fatal(err)
	}
	links[1].mend(t)
	ad.await(t, "the changer died before the cache was back", second)
	third, thirdURL := f.AnotherGateway(t, map[string]string{cacheAddr: links[1].Listen})
	ad.await(t, "a gateway that came later", thirdURL)
	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
}

// Every gateway that knew of a change dies; an old row stays in the cache.
func TestAGatewayThatStartsLaterDoesNotBelieveAnOldRowOfTheCache(t *testing.T) {
	t.Parallel()
	links := newLinks(t, 1)
	f := fleet.Start(t, programs, map[string]string{cacheAddr: links[0].Listen})
	t.Cleanup(func() { _ = links[0].Start() })
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Changed", 1)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := f.Admin.Issue(t.Context(), advertiser.Ads[0].GetAdId(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ad := &watchedAd{id: advertiser.Ads[0].GetAdId(), token: issued[0].GetToken(), browser: client.NewHTTP()}
	ad.change(t, "all is well", f.Admin, f.URL)
	ad.change(t, "all is well", f.Admin, f.URL)
	links[0].cut()
	ad.change(t, "the cache is away", f.Admin, f.URL)
	if err := f.Gateway.Kill(); err != nil {
		t.Fatal(err)
	}
	links[0].mend(t)
	if err := errors.Join(f.Gateway.Start(), f.Gateway.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	ad.await(t, "after the restart", f.URL)
}
