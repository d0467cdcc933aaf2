package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

const readyDeadline = 20 * time.Second

// running is a gateway on the real servers, in a namespace of its own.
type running struct {
	config config.Config
	url    string
	stop   func() error
}

// startGateways prepares one namespace and runs n gateways in it.
func startGateways(t *testing.T, n int) []*running {
	t.Helper()
	c := stacktest.Config(t)
	// Records are counted: a broker that is late on a busy machine must not make a copy by way of the journal.
	c.ProduceTimeout = 5 * time.Second
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	stacktest.Cleanup(t, "topics", admin.Drop)
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	if err := admin.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	gateways := make([]*running, n)
	for i := range gateways {
		gateways[i] = startGateway(t, c)
	}
	return gateways
}

func startGateway(t *testing.T, c config.Config) *running {
	t.Helper()
	c.GatewayListen, c.GatewayOpsListen = freeAddr(t), freeAddr(t)
	c.JournalPath = filepath.Join(t.TempDir(), "journal.db")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	g := &running{config: c, url: "http://" + c.GatewayListen}
	g.stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Errorf("the gateway stopped with: %v", err)
		}
	})
	eventually(t, "the gateway to be ready", func() bool {
		response, err := http.DefaultClient.Do(newRequest(t, g.url+"/readyz"))
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return g
}

func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(readyDeadline)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// as makes the client's calls carry a key.
func as(key string) connect.Option { return connect.WithInterceptors(bearer("Bearer " + key)) }

type bearer string

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		request.Header().Set("Authorization", string(b))
		return next(ctx, request)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", string(b))
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (g *running) catalog(key string) clickledgerv1connect.CatalogServiceClient {
	return clickledgerv1connect.NewCatalogServiceClient(http.DefaultClient, g.url, as(key))
}

// adOf makes an advertiser and one ad through the API.
func (g *running) adOf(t *testing.T) (*v1.Ad, string) {
	t.Helper()
	made, err := g.catalog(g.config.AdminKey).CreateAdvertiser(t.Context(), &v1.CreateAdvertiserRequest{Name: "an advertiser"})
	if err != nil {
		t.Fatal(err)
	}
	ads, err := g.catalog(made.GetApiKey()).CreateAds(t.Context(), &v1.CreateAdsRequest{
		AdvertiserId: made.GetAdvertiser().GetAdvertiserId(),
		Ads:          []*v1.NewAd{{Name: "an ad", LandingUrl: "https://shop.example.com/"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ads.GetAds()[0], made.GetApiKey()
}

// answered is what a click was answered.
type answered struct {
	status    int
	clickedAt string // "": not counted
}

func (g *running) click(t *testing.T, token string) answered {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(newRequest(t, g.url+"/click?t="+token))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return answered{response.StatusCode, response.Header.Get("Clickledger-Clicked-At")}
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func (g *running) sign(t *testing.T, adID int64) string {
	t.Helper()
	ring, err := click.NewKeyring(g.config.TokenKeys, g.config.TokenValidity)
	if err != nil {
		t.Fatal(err)
	}
	id, err := click.NewImpressionID(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ring.Sign(click.Token{AdID: adID, Impression: id, FanOut: 1})
}

func TestAClickGoesFromImpressionToKafkaOverConnectAndGRPC(t *testing.T) {
	g := startGateways(t, 1)[0]
	ad, _ := g.adOf(t)
	h2c := &http.Client{Transport: &http.Transport{Protocols: unencryptedHTTP2()}}
	for name, client := range map[string]clickledgerv1connect.ImpressionServiceClient{
		"connect":  clickledgerv1connect.NewImpressionServiceClient(http.DefaultClient, g.url, as(g.config.AdminKey)),
		"json":     clickledgerv1connect.NewImpressionServiceClient(http.DefaultClient, g.url, as(g.config.AdminKey), connect.WithProtoJSON()),
		"grpc":     clickledgerv1connect.NewImpressionServiceClient(h2c, g.url, as(g.config.AdminKey), connect.WithGRPC()),
		"grpc-web": clickledgerv1connect.NewImpressionServiceClient(http.DefaultClient, g.url, as(g.config.AdminKey), connect.WithGRPCWeb()),
	} {
		issued, err := client.IssueImpressions(t.Context(), &v1.IssueImpressionsRequest{AdId: ad.GetAdId(), Count: 2})
		if err != nil || len(issued.GetImpressions()) != 2 {
			t.Fatalf("%s: %v, %v", name, issued, err)
		}
		impression := issued.GetImpressions()[0]
		if !strings.HasPrefix(impression.GetClickUrl(), g.config.PublicURL+"/click?t=") {
			t.Errorf("%s: click URL %q", name, impression.GetClickUrl())
		}
		answer := g.click(t, impression.GetToken())
		if answer.status != http.StatusFound || answer.clickedAt == "" {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	clicks := clickledgerv1connect.NewClickServiceClient(h2c, g.url, connect.WithGRPC())
	done, err := clicks.RecordClick(t.Context(), &v1.RecordClickRequest{Token: g.sign(t, ad.GetAdId())})
	if err != nil || done.GetVerdict() != v1.Verdict_VERDICT_ACCEPTED || done.GetLandingUrl() != ad.GetLandingUrl() {
		t.Errorf("RecordClick: %v, %v", done, err)
	}
	admin, err := kafka.NewAdmin(g.config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	lags, err := admin.Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, p := range lags {
		total += p.End
	}
	if total != 5 {
		t.Errorf("%d records in the stream, want 5", total)
	}
}

func unencryptedHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

func TestChangedAdTakesEffectAtEveryGatewayWithinASecond(t *testing.T) {
	gateways := startGateways(t, 2)
	here, there := gateways[0], gateways[1]
	ad, key := here.adOf(t)
	if answer := there.click(t, there.sign(t, ad.GetAdId())); answer.clickedAt == "" {
		t.Fatalf("the other gateway does not count the ad: %d", answer.status)
	}
	paused, changed := v1.AdStatus_AD_STATUS_PAUSED, time.Now()
	if _, err := here.catalog(key).UpdateAd(t.Context(), &v1.UpdateAdRequest{AdId: ad.GetAdId(), Status: &paused}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other gateway to pause the ad", func() bool {
		answer := there.click(t, there.sign(t, ad.GetAdId()))
		return answer.status == http.StatusFound && answer.clickedAt == ""
	})
	if took := time.Since(changed); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestUnknownAdIsKnownToEveryGatewayOnceMade(t *testing.T) {
	gateways := startGateways(t, 2)
	ad, _ := gateways[0].adOf(t)
	for _, g := range gateways {
		if answer := g.click(t, g.sign(t, 99)); answer.status != http.StatusNotFound {
			t.Errorf("an unknown ad: %d", answer.status)
		}
		if answer := g.click(t, g.sign(t, ad.GetAdId())); answer.status != http.StatusFound {
			t.Errorf("the new ad: %d", answer.status)
		}
	}
}

func TestStoredClicksAreReportedAsProvisional(t *testing.T) {
	g := startGateways(t, 1)[0]
	ad, key := g.adOf(t)
	store, err := clickhouse.Open(g.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	now := time.Now().UTC().Truncate(time.Minute)
	stored := make([]click.Placed, 3)
	for i := range stored {
		id, err := click.NewImpressionID(now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		stored[i] = click.Placed{Click: click.Click{
			AdID: ad.GetAdId(), AdvertiserID: ad.GetAdvertiserId(), Impression: id, ClickedAt: now,
		}, Position: click.Position{Offset: int64(i)}}
	}
	if err := store.InsertClicks(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	filtered := []click.Filtered{
		{Window: click.WindowOf(now), AdvertiserID: ad.GetAdvertiserId(), AdID: ad.GetAdId(), Reason: click.Expired, Count: 4, ID: click.NewArrivalID(1, 1)},
		{Window: click.WindowOf(now), AdvertiserID: ad.GetAdvertiserId(), AdID: ad.GetAdId(), Reason: click.Duplicate, Count: 1, ID: click.NewArrivalID(1, 2), Arrival: true},
	}
	if err := store.InsertFiltered(t.Context(), filtered); err != nil {
		t.Fatal(err)
	}
	reports := clickledgerv1connect.NewReportServiceClient(http.DefaultClient, g.url, as(key))
	for _, granularity := range []v1.Granularity{v1.Granularity_GRANULARITY_MINUTE, v1.Granularity_GRANULARITY_MONTH} {
		got, err := reports.QueryClicks(t.Context(), &v1.QueryClicksRequest{
			AdvertiserId: ad.GetAdvertiserId(), StartTime: timestamppb.New(now.Add(-time.Hour)), EndTime: timestamppb.New(now.Add(time.Minute)),
			Granularity: granularity, TimeZone: "Asia/Kathmandu", GroupByAd: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		last := got.GetPoints()[len(got.GetPoints())-1]
		if got.GetTotalClicks() != 3 || last.GetClicks() != 3 || last.GetState() != v1.State_STATE_PROVISIONAL || last.GetAdId() != ad.GetAdId() {
			t.Errorf("%v: total %d, last point %v", granularity, got.GetTotalClicks(), last)
		}
		if got.GetTotalFiltered() != 5 || last.GetFiltered() != 5 || len(got.GetFilteredByReason()) != 2 {
			t.Errorf("%v: filtered %d %v, last point %v", granularity, got.GetTotalFiltered(), got.GetFilteredByReason(), last)
		}
	}
}

func TestStatusOfANewInstallationNamesWhatIsMissing(t *testing.T) {
	g := startGateways(t, 1)[0]
	status, err := clickledgerv1connect.NewOperationsServiceClient(http.DefaultClient, g.url, as(g.config.AdminKey)).
		GetStatus(t.Context(), &v1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status.GetWatermark() == nil || len(status.GetPartitions()) != int(g.config.Partitions) || status.GetNamespace() != g.config.Namespace {
		t.Errorf("status: %v", status)
	}
	parts := make([]string, 0, 1)
	for _, mode := range status.GetDegradedModes() {
		parts = append(parts, mode.GetPart())
	}
	if !slices.Equal(parts, []string{"flush"}) {
		t.Errorf("degraded: %v", status.GetDegradedModes())
	}
}

func TestStatusTellsHowFarTheLakeIsAndDoesNotWaitForOneThatHangs(t *testing.T) {
	g := startGateways(t, 1)[0]
	bucket, err := s3.Open(g.config)
	if err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "bucket", bucket.Drop)
	if _, err := bucket.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin, err := kafka.NewAdmin(g.config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	topic, id, bounds, err := admin.Bounds(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := click.ArchiveWindowOf(time.Now().Add(-2 * click.ArchiveLength))
	m := click.Manifest{Version: click.ManifestVersion, Topic: topic, TopicID: id, Window: w, End: click.ArchiveEnd(w), Ranges: make([]click.ArchivedRange, len(bounds))}
	for partition := range m.Ranges {
		m.Ranges[partition].Partition = int32(partition)
	}
	if err := bucket.PublishManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	status := func(g *running) (*v1.GetStatusResponse, []string) {
		t.Helper()
		got, err := clickledgerv1connect.NewOperationsServiceClient(http.DefaultClient, g.url, as(g.config.AdminKey)).
			GetStatus(t.Context(), &v1.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, mode := range got.GetDegradedModes() {
			parts = append(parts, mode.GetPart())
		}
		return got, parts
	}
	if got, parts := status(g); !got.GetArchivedThrough().AsTime().Equal(m.End) || !slices.Equal(parts, []string{"flush"}) {
		t.Errorf("archived through %v, degraded %v", got.GetArchivedThrough(), parts)
	}

	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // it takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	hanging := g.config
	hanging.S3Endpoint = silent.Addr().String()
	behind := startGateway(t, hanging)
	began := time.Now()
	got, parts := status(behind)
	if got.GetArchivedThrough() != nil || !slices.Equal(parts, []string{"flush", "archive"}) || len(got.GetPartitions()) == 0 {
		t.Errorf("the lake hangs: %v", got)
	}
	if took := time.Since(began); took > 5*time.Second { // 2 s, on a busy machine
		t.Errorf("it took %v", took)
	}
}

func TestMissingTopicStopsTheGatewayWithASentence(t *testing.T) {
	c := stacktest.Config(t)
	c.GatewayListen, c.GatewayOpsListen = freeAddr(t), freeAddr(t)
	c.JournalPath = filepath.Join(t.TempDir(), "journal.db")
	ctx, cancel := context.WithTimeout(t.Context(), readyDeadline)
	defer cancel()
	err := run(ctx, c, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), c.ClicksTopic()) {
		t.Errorf("it stopped with: %v", err)
	}
}
