// Package client uses Clickledger as anybody outside would: the API by its
// generated clients, and clicks by plain HTTP.
package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

const (
	callTimeout  = 30 * time.Second
	connsPerHost = 256
)

// API is one holder of an API key, with a client for every service.
type API struct {
	URL         string
	Catalog     clickledgerv1connect.CatalogServiceClient
	Impressions clickledgerv1connect.ImpressionServiceClient
	Clicks      clickledgerv1connect.ClickServiceClient
	Reports     clickledgerv1connect.ReportServiceClient
	Operations  clickledgerv1connect.OperationsServiceClient
}

// New makes clients for the gateway at url that show key with every call; an
// empty key shows none. Options choose another protocol than Connect.
func New(url, key string, options ...connect.ClientOption) *API {
	return NewWith(NewHTTP(), url, key, options...)
}

// NewWith is New over a given HTTP client, for example one that speaks HTTP/2.
func NewWith(httpClient *http.Client, url, key string, options ...connect.ClientOption) *API {
	options = append(options, connect.WithInterceptors(bearer(key)))
	return &API{
		URL:         url,
		Catalog:     clickledgerv1connect.NewCatalogServiceClient(httpClient, url, options...),
		Impressions: clickledgerv1connect.NewImpressionServiceClient(httpClient, url, options...),
		Clicks:      clickledgerv1connect.NewClickServiceClient(httpClient, url, options...),
		Reports:     clickledgerv1connect.NewReportServiceClient(httpClient, url, options...),
		Operations:  clickledgerv1connect.NewOperationsServiceClient(httpClient, url, options...),
	}
}

// NewHTTP is an HTTP/1.1 client that keeps its connections and never follows a
// redirect: where it leads is what is looked at.
func NewHTTP() *http.Client {
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: connsPerHost, MaxIdleConns: connsPerHost},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NewHTTP2 is NewHTTP over HTTP/2 without TLS, as gRPC clients speak it.
func NewHTTP2() *http.Client {
	c := NewHTTP()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	c.Transport = &http.Transport{Protocols: &protocols}
	return c
}

// bearer shows a key with every call.
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

// Advertiser is a fresh advertiser with its key and its ads.
type Advertiser struct {
	ID  int64
	Key string
	API *API // as the advertiser itself
	Ads []*clickledgerv1.Ad
}

// adsPerCall is how many ads one CreateAds takes.
const adsPerCall = 1000

// NewAdvertiser makes an advertiser with so many ads; a must be an admin's.
func (a *API) NewAdvertiser(ctx context.Context, name string, ads int) (*Advertiser, error) {
	created, err := a.Catalog.CreateAdvertiser(ctx, &clickledgerv1.CreateAdvertiserRequest{Name: name})
	if err != nil {
		return nil, fmt.Errorf("create advertiser %s: %w", name, err)
	}
	advertiser := &Advertiser{
		ID:  created.GetAdvertiser().GetAdvertiserId(),
		Key: created.GetApiKey(),
		API: New(a.URL, created.GetApiKey()),
	}
	for len(advertiser.Ads) < ads {
		request := &clickledgerv1.CreateAdsRequest{AdvertiserId: advertiser.ID}
		for number := len(advertiser.Ads); number < ads && len(request.GetAds()) < adsPerCall; number++ {
			request.Ads = append(request.Ads, &clickledgerv1.NewAd{
				Name:       fmt.Sprintf("%s %d", name, number+1),
				LandingUrl: fmt.Sprintf("https://example.com/%d/%d?from=clickledger", advertiser.ID, number+1),
			})
		}
		response, err := a.Catalog.CreateAds(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("create ads of %s: %w", name, err)
		}
		advertiser.Ads = append(advertiser.Ads, response.GetAds()...)
	}
	return advertiser, nil
}

// Issue is count fresh impressions of an ad, at most 10,000.
func (a *API) Issue(ctx context.Context, adID int64, count int) ([]*clickledgerv1.Impression, error) {
	response, err := a.Impressions.IssueImpressions(ctx, &clickledgerv1.IssueImpressionsRequest{AdId: adID, Count: int32(count)})
	if err != nil {
		return nil, fmt.Errorf("issue %d impressions of ad %d: %w", count, adID, err)
	}
	return response.GetImpressions(), nil
}
