package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

// effectTimeout is how long a change of the catalogue may take to reach a
// gateway, generously.
const effectTimeout = 10 * time.Second

func (p *port) testProtocols(t *testing.T) {
	for _, protocol := range []struct {
		name    string
		http    *http.Client
		options []connect.ClientOption
	}{
		{"Connect", client.NewHTTP(), nil},
		{"Connect in JSON", client.NewHTTP(), []connect.ClientOption{connect.WithProtoJSON()}},
		{"Connect over HTTP/2", client.NewHTTP2(), nil},
		{"gRPC", client.NewHTTP2(), []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC-Web", client.NewHTTP(), []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			own := client.NewWith(protocol.http, p.fleet.URL, p.own.Key, protocol.options...)
			answer, err := own.Catalog.ListAds(t.Context(), &v1.ListAdsRequest{AdvertiserId: p.own.ID})
			if err != nil || len(answer.GetAds()) != len(p.own.Ads) {
				t.Errorf("answered %v, %v", answer, err)
			}
			_, err = own.Catalog.ListAds(t.Context(), &v1.ListAdsRequest{AdvertiserId: p.foreign.ID})
			if connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("another's ads are answered %v", err)
			}
		})
	}
	t.Run("curl", func(t *testing.T) {
		answer := p.call(t, "ImpressionService/IssueImpressions", p.fleet.Config.AdminKey, fmt.Sprintf(`{"ad_id":"%d"}`, p.own.Ads[0].GetAdId()))
		var issued struct {
			Impressions []struct {
				ClickURL string `json:"clickUrl"`
			} `json:"impressions"`
		}
		if err := json.Unmarshal([]byte(answer.Body), &issued); err != nil || len(issued.Impressions) != 1 {
			t.Fatalf("answered %s, %v", answer.Body, err)
		}
		if url := issued.Impressions[0].ClickURL; !strings.HasPrefix(url, p.fleet.URL+"/click?t=") {
			t.Errorf("the click URL is %s", url)
		}
	})
}

func (p *port) testHealthAndReflection(t *testing.T) {
	conn, err := grpc.NewClient(strings.TrimPrefix(p.fleet.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health is answered %v, %v", health, err)
	}
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	listed, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if names := fmt.Sprint(listed.GetListServicesResponse()); !strings.Contains(names, "clickledger.v1.ReportService") {
		t.Errorf("reflection lists %s", names)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if answer := p.get(t, path); answer.Status != http.StatusOK {
			t.Errorf("%s is answered %d %s", path, answer.Status, answer.Body)
		}
	}
}

// A change takes effect at once: paused, moved, and active again.
func (p *port) testPaused(t *testing.T) {
	ad := p.own.Ads[1]
	issued, err := traffic.Issue(t.Context(), p.fleet.Admin, ad.GetAdId(), 2)
	if err != nil {
		t.Fatal(err)
	}
	moved := "https://example.com/moved"
	_, err = p.own.API.Catalog.UpdateAd(t.Context(), &v1.UpdateAdRequest{AdId: ad.GetAdId(), Status: v1.AdStatus_AD_STATUS_PAUSED.Enum(), LandingUrl: &moved})
	if err != nil {
		t.Fatal(err)
	}
	p.clickUntil(t, issued[0], func(a client.Answer) bool {
		return a.Status == http.StatusFound && a.Location == moved && !a.Recorded()
	})
	_, err = p.fleet.Admin.Issue(t.Context(), ad.GetAdId(), 1)
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("impressions of a paused ad are answered %v", err)
	}
	_, err = p.own.API.Catalog.UpdateAd(t.Context(), &v1.UpdateAdRequest{AdId: ad.GetAdId(), Status: v1.AdStatus_AD_STATUS_ACTIVE.Enum()})
	if err != nil {
		t.Fatal(err)
	}
	p.clickUntil(t, issued[1], client.Answer.Recorded)
}

func (p *port) clickUntil(t *testing.T, i *traffic.Impression, right func(client.Answer) bool) {
	t.Helper()
	err := poll.Until(t.Context(), effectTimeout, askInterval, func(ctx context.Context) error {
		answer, err := p.clicker.Click(ctx, i)
		if err == nil && !right(answer) {
			err = fmt.Errorf("answered %d to %s, recorded: %v", answer.Status, answer.Location, answer.Recorded())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.clicker.Tell(i)
}

func (p *port) testRecordClick(t *testing.T) {
	app := client.New(p.fleet.URL, "")
	token := p.token(t)
	first, err := app.Clicks.RecordClick(t.Context(), &v1.RecordClickRequest{Token: token})
	if err != nil || first.GetVerdict() != v1.Verdict_VERDICT_ACCEPTED || first.GetLandingUrl() != p.own.Ads[0].GetLandingUrl() {
		t.Fatalf("answered %v, %v", first, err)
	}
	p.clicked.Add(p.own.Ads[0].GetAdId(), true, first.GetClickedAt().AsTime())
	second, err := app.Clicks.RecordClick(t.Context(), &v1.RecordClickRequest{Token: token})
	if err != nil || second.GetVerdict() != v1.Verdict_VERDICT_DUPLICATE || !second.GetClickedAt().AsTime().Equal(first.GetClickedAt().AsTime()) {
		t.Errorf("a repeat is answered %v, %v", second, err)
	}
	expired, err := app.Clicks.RecordClick(t.Context(), &v1.RecordClickRequest{Token: p.forger.Expired(p.own.Ads[0].GetAdId())})
	if err != nil || expired.GetVerdict() != v1.Verdict_VERDICT_EXPIRED || expired.ClickedAt != nil {
		t.Errorf("an expired token is answered %v, %v", expired, err)
	}
}

// expectNoSecretLogged: no log holds a key, a signing secret or a token.
func (p *port) expectNoSecretLogged(t *testing.T) {
	t.Helper()
	token := p.click(t)
	secrets := map[string]string{
		"the admin's key": p.fleet.Config.AdminKey, "an advertiser's key": p.own.Key, "a click token": token,
		"the store's password": p.fleet.Config.ClickHousePassword, "the cache's password": p.fleet.Config.ValkeyPassword,
	}
	logs, err := p.fleet.Logs()
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range secrets {
		if strings.Contains(logs, secret) {
			t.Errorf("a log holds %s", what)
		}
	}
}
