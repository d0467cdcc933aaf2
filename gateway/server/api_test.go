package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

// client is the API as one key's holder sees it.
type client struct {
	clickledgerv1connect.CatalogServiceClient
	clickledgerv1connect.ImpressionServiceClient
	clickledgerv1connect.ReportServiceClient
	clickledgerv1connect.OperationsServiceClient
	clickledgerv1connect.ClickServiceClient
}

func (g *gateway) as(key string) client {
	return g.over(http.DefaultClient, key)
}

// over is as with another HTTP client, or another protocol.
func (g *gateway) over(http connect.HTTPClient, key string, options ...connect.ClientOption) client {
	options = append(options, connect.WithInterceptors(bearer(key)))
	return client{
		clickledgerv1connect.NewCatalogServiceClient(http, g.url, options...),
		clickledgerv1connect.NewImpressionServiceClient(http, g.url, options...),
		clickledgerv1connect.NewReportServiceClient(http, g.url, options...),
		clickledgerv1connect.NewOperationsServiceClient(http, g.url, options...),
		clickledgerv1connect.NewClickServiceClient(http, g.url, options...),
	}
}

// bearer makes calls show a key.
type bearer string

func (b bearer) show(header http.Header) {
	if b != "" {
		header.Set("Authorization", "Bearer "+string(b))
	}
}

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		b.show(request.Header())
		return next(ctx, request)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		b.show(conn.RequestHeader())
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// http2 is a client that speaks HTTP/2 without TLS.
func http2(t *testing.T) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// advertiser makes one with one ad.
func (g *gateway) advertiser(t *testing.T) (id int64, key string, ad *v1.Ad) {
	t.Helper()
	made, err := g.as(testAdminKey).CreateAdvertiser(t.Context(), &v1.CreateAdvertiserRequest{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	id, key = made.GetAdvertiser().GetAdvertiserId(), made.GetApiKey()
	ads, err := g.as(key).CreateAds(t.Context(), &v1.CreateAdsRequest{
		AdvertiserId: id, Ads: []*v1.NewAd{{Name: "ad", LandingUrl: "https://shop.example.com/"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id, key, ads.GetAds()[0]
}

func wantCode(t *testing.T, what string, err error, want connect.Code) {
	t.Helper()
	if connect.CodeOf(err) != want || err == nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestAdsAreMadeChangedAndListedInPages(t *testing.T) {
	g := newGateway(t)
	id, key, ad := g.advertiser(t)
	api, ctx := g.as(key), t.Context()
	many := &v1.CreateAdsRequest{AdvertiserId: id}
	for range 24 {
		many.Ads = append(many.Ads, &v1.NewAd{Name: "ad", LandingUrl: "https://shop.example.com/x"})
	}
	if _, err := api.CreateAds(ctx, many); err != nil {
		t.Fatal(err)
	}
	seen, token := map[int64]bool{}, ""
	for pages := 1; ; pages++ {
		page, err := api.ListAds(ctx, &v1.ListAdsRequest{AdvertiserId: id, PageSize: 10, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAds() {
			seen[a.GetAdId()] = true
		}
		if token = page.GetNextPageToken(); token == "" {
			if pages != 3 || len(seen) != 25 {
				t.Errorf("%d pages with %d ads", pages, len(seen))
			}
			break
		}
	}
	paused, url := v1.AdStatus_AD_STATUS_PAUSED, "http://other.example.com/"
	changed, err := api.UpdateAd(ctx, &v1.UpdateAdRequest{AdId: ad.GetAdId(), Status: &paused})
	if err != nil || changed.GetAd().GetStatus() != paused || changed.GetAd().GetLandingUrl() != ad.GetLandingUrl() {
		t.Errorf("paused: %v, %v", changed, err)
	}
	if _, err := api.UpdateAd(ctx, &v1.UpdateAdRequest{AdId: ad.GetAdId(), LandingUrl: &url}); err != nil {
		t.Fatal(err)
	}
	got, err := api.GetAd(ctx, &v1.GetAdRequest{AdId: ad.GetAdId()})
	if err != nil || got.GetAd().GetLandingUrl() != url || got.GetAd().GetStatus() != paused {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = api.ListAds(ctx, &v1.ListAdsRequest{AdvertiserId: id, PageToken: "!"})
	wantCode(t, "a made-up page token", err, connect.CodeInvalidArgument)
}

// The store took the change, but its answer was lost: the client tries again.
func TestAChangeRepeatedIsToldEvenIfItWasStoredBefore(t *testing.T) {
	g := newGateway(t)
	_, key, ad := g.advertiser(t)
	stored, err := g.ads.Get(t.Context(), ad.GetAdId()) // kept here and in the shared cache
	if err != nil {
		t.Fatal(err)
	}
	stored.Status, stored.Version = click.AdPaused, stored.Version+1
	g.addAd(stored)
	paused := v1.AdStatus_AD_STATUS_PAUSED
	if _, err := g.as(key).UpdateAd(t.Context(), &v1.UpdateAdRequest{AdId: ad.GetAdId(), Status: &paused}); err != nil {
		t.Fatal(err)
	}
	if got, err := g.ads.Get(t.Context(), ad.GetAdId()); err != nil || got.Status != click.AdPaused {
		t.Errorf("clicks go by %+v, %v", got, err)
	}
	if got, err := g.cache.Get(t.Context(), ad.GetAdId()); err != nil || got.Status != click.AdPaused {
		t.Errorf("the shared cache has %+v, %v", got, err)
	}
}

func TestLandingURLsThatMustNeverBeRedirectedTo(t *testing.T) {
	for _, url := range []string{
		"javascript:alert(1)", "ftp://example.com/", "//example.com/", "/path", "https://", "https:///path", "http://user:pw@example.com/",
		"https://example.com/\r\nX-Evil: 1", "https://example.com/a b", "https://exämple.com/", "https://example.com\\@evil.com/",
		"HTTP ://example.com", "https://example.com/<script>",
	} {
		if err := checkLandingURL(url); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, url := range []string{"https://example.com", "http://example.com:8080/a?b=c&d=%20#e", "https://[::1]/x", "https://xn--exmple-cua.com/"} {
		if err := checkLandingURL(url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	_, err := g.as(key).CreateAds(t.Context(), &v1.CreateAdsRequest{AdvertiserId: id, Ads: []*v1.NewAd{
		{Name: "good", LandingUrl: "https://example.com/"}, {Name: "bad", LandingUrl: "ftp://example.com/"},
	}})
	wantCode(t, "one bad of two", err, connect.CodeInvalidArgument)
	if ads, err := g.as(key).ListAds(t.Context(), &v1.ListAdsRequest{AdvertiserId: id}); err != nil || len(ads.GetAds()) != 1 {
		t.Errorf("all or none: %v, %v", ads, err)
	}
}

func TestNothingWithoutAKey(t *testing.T) {
	g := newGateway(t)
	for _, key := range []string{"", "wrong", "clk_1_" + strings.Repeat("A", 43)} {
		api, ctx := g.as(key), t.Context()
		_, err := api.GetAd(ctx, &v1.GetAdRequest{AdId: 1})
		wantCode(t, "GetAd", err, connect.CodeUnauthenticated)
		_, err = api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: -1}) // who calls comes before what is asked
		wantCode(t, "IssueImpressions", err, connect.CodeUnauthenticated)
		_, err = api.QueryClicks(ctx, &v1.QueryClicksRequest{})
		wantCode(t, "QueryClicks", err, connect.CodeUnauthenticated)
		_, err = api.GetStatus(ctx, &v1.GetStatusRequest{})
		wantCode(t, "GetStatus", err, connect.CodeUnauthenticated)
	}
}

func TestNoKeyComesBeforeAnUnreadableMessage(t *testing.T) {
	g := newGateway(t)
	for _, kind := range []string{"application/json", "application/proto", "application/grpc", "application/grpc-web+proto"} {
		for _, body := range []string{"", "{", "\xff\xff\xff"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				g.url+clickledgerv1connect.OperationsServiceGetStatusProcedure, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", kind)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			// gRPC tells by a number in a header, a trailer or the body: 16.
			told := fmt.Sprint(answer.StatusCode, " ", string(text), answer.Header, answer.Trailer)
			if !strings.Contains(told, "401") && !strings.Contains(strings.ToLower(told), "grpc-status:[16]") && !strings.Contains(told, "grpc-status: 16") {
				t.Errorf("%s %q: %s", kind, body, told)
			}
		}
	}
}

func TestAnotherAdvertisersThingsAndNoThingsAreTheSame(t *testing.T) {
	g := newGateway(t)
	_, mine, _ := g.advertiser(t)
	foreignID, _, foreignAd := g.advertiser(t)
	keys, err := g.as(testAdminKey).ListApiKeys(t.Context(), &v1.ListApiKeysRequest{AdvertiserId: foreignID})
	if err != nil {
		t.Fatal(err)
	}
	api, ctx := g.as(mine), t.Context()
	calls := map[string]func(ad, advertiser, key int64) error{
		"GetAd": func(ad, _, _ int64) error { _, err := api.GetAd(ctx, &v1.GetAdRequest{AdId: ad}); return err },
		"UpdateAd": func(ad, _, _ int64) error {
			paused := v1.AdStatus_AD_STATUS_PAUSED
			_, err := api.UpdateAd(ctx, &v1.UpdateAdRequest{AdId: ad, Status: &paused})
			return err
		},
		"ListAds": func(_, advertiser, _ int64) error {
			_, err := api.ListAds(ctx, &v1.ListAdsRequest{AdvertiserId: advertiser})
			return err
		},
		"CreateAds": func(_, advertiser, _ int64) error {
			_, err := api.CreateAds(ctx, &v1.CreateAdsRequest{AdvertiserId: advertiser, Ads: []*v1.NewAd{{Name: "x", LandingUrl: "https://x.example.com"}}})
			return err
		},
		"CreateApiKey": func(_, advertiser, _ int64) error {
			_, err := api.CreateApiKey(ctx, &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: advertiser})
			return err
		},
		"ListApiKeys": func(_, advertiser, _ int64) error {
			_, err := api.ListApiKeys(ctx, &v1.ListApiKeysRequest{AdvertiserId: advertiser})
			return err
		},
		"RevokeApiKey": func(_, _, key int64) error {
			_, err := api.RevokeApiKey(ctx, &v1.RevokeApiKeyRequest{KeyId: key})
			return err
		},
	}
	for name, call := range calls {
		foreign, none := call(foreignAd.GetAdId(), foreignID, keys.GetApiKeys()[0].GetKeyId()), call(99, 99, 99)
		code := connect.CodeOf(foreign)
		if foreign == nil || none == nil || foreign.Error() != none.Error() || (code != connect.CodeNotFound && code != connect.CodePermissionDenied) {
			t.Errorf("%s: %v for a foreign one, %v for none", name, foreign, none)
		}
	}
	wantCode(t, "all keys", func() error { _, err := api.ListApiKeys(ctx, &v1.ListApiKeysRequest{}); return err }(), connect.CodePermissionDenied)
	_, err = api.CreateApiKey(ctx, &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADMIN})
	wantCode(t, "an admin key", err, connect.CodePermissionDenied)
	_, err = api.CreateAdvertiser(ctx, &v1.CreateAdvertiserRequest{Name: "x"})
	wantCode(t, "an advertiser", err, connect.CodePermissionDenied)
	_, err = api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: foreignAd.GetAdId()})
	wantCode(t, "impressions", err, connect.CodePermissionDenied)
	_, err = api.GetStatus(ctx, &v1.GetStatusRequest{})
	wantCode(t, "status", err, connect.CodePermissionDenied)
}

func TestPublisherIssuesImpressionsAndNothingElse(t *testing.T) {
	g := newGateway(t)
	_, key, ad := g.advertiser(t)
	made, err := g.as(testAdminKey).CreateApiKey(t.Context(), &v1.CreateApiKeyRequest{
		Role: v1.Role_ROLE_PUBLISHER, Name: "p", ExpireTime: timestamppb.New(time.Now().Add(time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
	api, ctx := g.as(made.GetApiKey()), t.Context()
	issued, err := api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: ad.GetAdId(), Count: 10_000})
	if err != nil || len(issued.GetImpressions()) != 10_000 {
		t.Fatalf("%d impressions, %v", len(issued.GetImpressions()), err)
	}
	one := issued.GetImpressions()[9_999]
	token, err := g.ring.Verify(one.GetToken(), time.Now())
	if err != nil || token.AdID != ad.GetAdId() || token.Impression.String() != one.GetImpressionId() {
		t.Errorf("token %+v of %v: %v", token, one, err)
	}
	if want := "https://click.example.com/click?t=" + one.GetToken(); one.GetClickUrl() != want {
		t.Errorf("click URL %q, want %q", one.GetClickUrl(), want)
	}
	if want := token.Impression.IssuedAt().Add(24 * time.Hour); !one.GetExpireTime().AsTime().Equal(want) {
		t.Errorf("expires %v, want %v", one.GetExpireTime().AsTime(), want)
	}
	if issued, err := api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: ad.GetAdId()}); err != nil || len(issued.GetImpressions()) != 1 {
		t.Errorf("no count is one: %v, %v", issued, err)
	}
	_, err = api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: ad.GetAdId(), Count: 10_001})
	wantCode(t, "too many", err, connect.CodeInvalidArgument)
	_, err = api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: 99})
	wantCode(t, "an unknown ad", err, connect.CodeNotFound)
	_, err = api.GetAd(ctx, &v1.GetAdRequest{AdId: ad.GetAdId()})
	wantCode(t, "GetAd", err, connect.CodePermissionDenied)
	paused := v1.AdStatus_AD_STATUS_PAUSED
	if _, err := g.as(key).UpdateAd(ctx, &v1.UpdateAdRequest{AdId: ad.GetAdId(), Status: &paused}); err != nil {
		t.Fatal(err)
	}
	_, err = api.IssueImpressions(ctx, &v1.IssueImpressionsRequest{AdId: ad.GetAdId()})
	wantCode(t, "a paused ad", err, connect.CodeFailedPrecondition)
}

func TestRecordClickNeedsOnlyTheToken(t *testing.T) {
	g := newGateway(t)
	g.addAd(testAd(5))
	api, token := g.as(""), g.token(t, 5, 0)
	first, err := api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: token})
	if err != nil || first.GetVerdict() != v1.Verdict_VERDICT_ACCEPTED || first.GetClickedAt() == nil {
		t.Fatalf("%v, %v", first, err)
	}
	second, err := api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: token})
	if err != nil || second.GetVerdict() != v1.Verdict_VERDICT_DUPLICATE || !second.GetClickedAt().AsTime().Equal(first.GetClickedAt().AsTime()) {
		t.Errorf("%v, %v", second, err)
	}
	expired, err := api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: g.token(t, 5, 25*time.Hour)})
	if err != nil || expired.GetVerdict() != v1.Verdict_VERDICT_EXPIRED || expired.GetClickedAt() != nil {
		t.Errorf("%v, %v", expired, err)
	}
	_, err = api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: "x"})
	wantCode(t, "malformed", err, connect.CodeInvalidArgument)
	_, err = api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: g.token(t, 99, 0)})
	wantCode(t, "unknown ad", err, connect.CodeNotFound)
	g.stream.set(func(s *memoryStream) { s.away = true })
	kept, err := api.RecordClick(t.Context(), &v1.RecordClickRequest{Token: g.token(t, 5, 0)})
	if err != nil || kept.GetVerdict() != v1.Verdict_VERDICT_ACCEPTED || len(g.journal.held()) != 1 {
		t.Errorf("kafka away: %v, %v", kept, err)
	}
}

func TestAwayStoreIsUnavailableInWordsAndLogsHoldNoKey(t *testing.T) {
	g := newGateway(t)
	_, key, ad := g.advertiser(t)
	if _, err := g.as(key).GetAd(t.Context(), &v1.GetAdRequest{AdId: ad.GetAdId()}); err != nil {
		t.Fatal(err)
	}
	g.store.goAway()
	_, err := g.as(key).GetAd(t.Context(), &v1.GetAdRequest{AdId: ad.GetAdId()})
	wantCode(t, "away", err, connect.CodeUnavailable)
	if !strings.Contains(err.Error(), "try again") {
		t.Errorf("the words: %v", err)
	}
	logs := g.logs.String()
	if !strings.Contains(logs, `"method":"GetAd"`) || !strings.Contains(logs, `"role":"ADVERTISER"`) {
		t.Errorf("the calls were not logged: %s", logs)
	}
	_, secretPart, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), "_") // it may have a _ of its own
	for _, secret := range []string{key, testAdminKey, secretPart} {
		if strings.Contains(logs, secret) {
			t.Error("a key was logged")
		}
	}
}

func TestStatusListsWhatIsAwayAndStillAnswers(t *testing.T) {
	g := newGateway(t)
	g.store.sealed = time.Now().UTC().Truncate(time.Minute).Add(-time.Minute)
	got, err := g.as(testAdminKey).GetStatus(t.Context(), &v1.GetStatusRequest{})
	if err != nil || got.GetLag() != 10 || len(got.GetPartitions()) != 2 || len(got.GetDegradedModes()) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	if w := got.GetWatermark().AsTime(); time.Since(w) > time.Minute+time.Second || !w.Equal(w.Truncate(time.Minute)) {
		t.Errorf("watermark %v", w)
	}
	g.stream.set(func(s *memoryStream) { s.behind = 7 * time.Minute })
	got, err = g.as(testAdminKey).GetStatus(t.Context(), &v1.GetStatusRequest{})
	if err != nil || len(got.GetDegradedModes()) != 1 || got.GetDegradedModes()[0].GetPart() != "ingester" {
		t.Errorf("behind: %v, %v", got, err)
	}
	g.stream.set(func(s *memoryStream) { s.away = true })
	g.store.goAway()
	g.cache.setAway(true)
	got, err = g.as(testAdminKey).GetStatus(t.Context(), &v1.GetStatusRequest{})
	if err != nil || got.GetWatermark() != nil || len(got.GetDegradedModes()) != 5 {
		t.Errorf("all away: %v, %v", got, err)
	}
}

func TestStatusTellsOfASeenIndexThatIsNearlyFullOrAway(t *testing.T) {
	g := newGateway(t)
	g.store.sealed = time.Now().UTC().Truncate(time.Minute)
	g.store.hot = []click.FanOut{{AdID: 5, AdvertiserID: 7, FanOut: 240}}
	for want, c := range map[string]struct {
		alarm string
		err   error
	}{
		"raise maxmemory": {alarm: "raise maxmemory"},
		"The seen index does not answer: clicks wait in Kafka and are counted when it is back.": {err: click.ErrUnavailable},
		"The seen index cannot be used: it evicts":                                              {err: errors.New("it evicts")},
	} {
		g.seen.set(c.alarm, c.err)
		got, err := g.as(testAdminKey).GetStatus(t.Context(), &v1.GetStatusRequest{})
		if err != nil || len(got.GetDegradedModes()) != 1 || got.GetDegradedModes()[0].GetPart() != "seen" || got.GetDegradedModes()[0].GetMessage() != want {
			t.Errorf("want %q: %v, %v", want, got, err)
		}
		if hot := got.GetHotAds(); len(hot) != 1 || hot[0].GetAdId() != 5 || hot[0].GetAdvertiserId() != 7 || hot[0].GetFanOut() != 240 {
			t.Errorf("hot ads %v", hot)
		}
	}
}

func TestStatusTellsHowFarTheLakeIs(t *testing.T) {
	g := newGateway(t)
	g.store.sealed = time.Now().UTC().Truncate(time.Minute)
	through, week := time.Now().UTC().Truncate(time.Second).Add(-6*time.Minute), 7*24*time.Hour
	for what, c := range map[string]struct {
		state    click.ArchiveState
		err      error
		through  bool
		sentence string
	}{
		"up to date":        {state: click.ArchiveState{Through: through, Retention: week}, through: true},
		"late":              {state: click.ArchiveState{Through: through.Add(-week), Retention: week}, sentence: "begins to drop"},
		"losing":            {state: click.ArchiveState{Through: through, Retention: week, Dropped: 5}, through: true, sentence: "dropped 5 offsets"},
		"begins":            {state: click.ArchiveState{Oldest: through, Retention: week}},
		"does not begin":    {state: click.ArchiveState{Oldest: through.Add(-time.Hour), Retention: week}, sentence: "Nothing is archived yet"},
		"unreadable":        {err: fmt.Errorf("%w: %w", click.ErrLake, click.ErrUnavailable), sentence: "cannot be read"},
		"the stream's away": {state: click.ArchiveState{Through: through}, err: click.ErrUnavailable, through: true},
	} {
		g.archive.set(c.state, c.err)
		got, err := g.as(testAdminKey).GetStatus(t.Context(), &v1.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if c.through && !got.GetArchivedThrough().AsTime().Equal(through) || c.state.Through.IsZero() != (got.GetArchivedThrough() == nil) {
			t.Errorf("%s: archived through %v", what, got.GetArchivedThrough())
		}
		modes := got.GetDegradedModes()
		if (c.sentence == "") != (len(modes) == 0) || c.sentence != "" && (modes[0].GetPart() != "archive" || !strings.Contains(modes[0].GetMessage(), c.sentence)) {
			t.Errorf("%s: %v", what, modes)
		}
	}
}

func TestKeysThatMakeNoSenseAreRefused(t *testing.T) {
	g := newGateway(t)
	id, _, _ := g.advertiser(t)
	api, ctx := g.as(testAdminKey), t.Context()
	for what, c := range map[string]struct {
		in   *v1.CreateApiKeyRequest
		code connect.Code
	}{
		"no role":                     {&v1.CreateApiKeyRequest{}, connect.CodeInvalidArgument},
		"an advertiser's without one": {&v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER}, connect.CodeInvalidArgument},
		"a publisher's with one":      {&v1.CreateApiKeyRequest{Role: v1.Role_ROLE_PUBLISHER, AdvertiserId: id}, connect.CodeInvalidArgument},
		"of nobody":                   {&v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: 99}, connect.CodeNotFound},
		"already expired": {&v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADMIN, ExpireTime: timestamppb.New(time.Now().Add(-time.Hour))},
			connect.CodeInvalidArgument},
	} {
		_, err := api.CreateApiKey(ctx, c.in)
		wantCode(t, what, err, c.code)
	}
}

func TestUnknownPathsAreAnsweredInWordsAndNeverRedirected(t *testing.T) {
	g := newGateway(t)
	for path, want := range map[string]int{
		"/": 200, "/healthz": 200, "/readyz": 200, "/nothing": 404, "//evil.example.com/": 404, "/click/": 404, "/a/../click": 404,
		"/clickledger.v1.CatalogService": 404, "/metrics": 404,
	} {
		response := g.request(t, "GET", path, nil)
		if response.status != want || response.header.Get("Location") != "" || response.body == "" {
			t.Errorf("%s: %+v", path, response)
		}
	}
}
