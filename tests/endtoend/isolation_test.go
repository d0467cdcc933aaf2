package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "clickledger/proto/gen/clickledger/v1"
)

const nobody = 4_242_424_242 // the id of nothing

// Whatever is asked about another's things is answered, word for word, as if
// they did not exist.
func (p *port) testIsolation(t *testing.T) {
	begin := time.Now().UTC().Truncate(time.Minute)
	query := func(advertiserID, adID int64) string {
		ads := ""
		if adID != 0 {
			ads = fmt.Sprintf(`,"ad_ids":["%d"]`, adID)
		}
		return fmt.Sprintf(`{"advertiser_id":"%d"%s,"start_time":"%s","end_time":"%s"}`, advertiserID, ads,
			begin.Format(time.RFC3339), begin.Add(time.Minute).Format(time.RFC3339))
	}
	advertiser := `{"advertiser_id":"%d"}`
	ofAdvertiser := func(format string) func(int64) string {
		return func(id int64) string { return fmt.Sprintf(format, id) }
	}
	foreign, foreignAd := p.foreign.ID, p.foreign.Ads[0].GetAdId()
	for _, asked := range []struct {
		name, method string
		body         func(id int64) string
		existing     int64
	}{
		{"figures of another", "ReportService/QueryClicks", func(id int64) string { return query(id, 0) }, foreign},
		{"figures of an ad under its own name", "ReportService/QueryClicks", func(id int64) string { return query(p.own.ID, id) }, foreignAd},
		{"figures of an ad of another", "ReportService/QueryClicks", func(id int64) string { return query(foreign, id) }, foreignAd},
		{"restatements of another", "ReportService/ListRestatements", func(id int64) string { return query(id, 0) }, foreign},
		{"restatements of an ad under its own name", "ReportService/ListRestatements", func(id int64) string { return query(p.own.ID, id) }, foreignAd},
		{"an ad", "CatalogService/GetAd", ofAdvertiser(`{"ad_id":"%d"}`), foreignAd},
		{"an ad's change", "CatalogService/UpdateAd", ofAdvertiser(`{"ad_id":"%d","status":"AD_STATUS_PAUSED"}`), foreignAd},
		{"another's ads", "CatalogService/ListAds", ofAdvertiser(advertiser), foreign},
		{"ads for another", "CatalogService/CreateAds", ofAdvertiser(`{"advertiser_id":"%d","ads":[{"name":"x","landing_url":"https://a.example"}]}`), foreign},
		{"another's keys", "CatalogService/ListApiKeys", ofAdvertiser(advertiser), foreign},
		{"a key for another", "CatalogService/CreateApiKey", ofAdvertiser(`{"role":"ROLE_ADVERTISER","advertiser_id":"%d"}`), foreign},
		{"another's key revoked", "CatalogService/RevokeApiKey", ofAdvertiser(`{"key_id":"%d"}`), keyIDOf(p.foreign.Key)},
	} {
		t.Run(asked.name, func(t *testing.T) {
			there := p.call(t, asked.method, p.own.Key, asked.body(asked.existing))
			absent := p.call(t, asked.method, p.own.Key, asked.body(nobody))
			if code := faultOf(t, there).Code; code != "permission_denied" && code != "not_found" {
				t.Errorf("answered %s: %s", code, there.Body)
			}
			if there.Body != absent.Body || there.Status != absent.Status {
				t.Errorf("what exists is answered %s, what does not %s", there.Body, absent.Body)
			}
		})
	}
	answer, err := p.foreign.API.Catalog.GetAd(t.Context(), &v1.GetAdRequest{AdId: foreignAd})
	if err != nil || answer.GetAd().GetStatus() != v1.AdStatus_AD_STATUS_ACTIVE {
		t.Errorf("the other's ad was changed: %v, %v", answer, err)
	}
}

// keyIDOf is the id in a key as it is shown: clk_ID_SECRET.
func keyIDOf(key string) int64 {
	var id int64
	_, _ = fmt.Sscanf(key, "clk_%d_", &id)
	return id
}

func (p *port) testNoKey(t *testing.T) {
	other := strings.Replace(p.own.Key, "clk_", "clk_1", 1)
	changed := p.own.Key[:len(p.own.Key)-2] + "xx"
	for _, key := range []string{"", "x", "clk_1_x", other, changed, p.own.Key + "x", strings.Repeat("k", 8000)} {
		for _, method := range []string{
			"CatalogService/CreateAdvertiser", "CatalogService/CreateAds", "CatalogService/GetAd", "CatalogService/ListApiKeys",
			"ImpressionService/IssueImpressions", "ReportService/QueryClicks", "OperationsService/GetStatus",
		} {
			answer := p.call(t, method, key, "{}")
			expectFault(t, answer, "unauthenticated")
			if key != "" && strings.Contains(answer.Body, key) {
				t.Errorf("the answer repeats the key")
			}
		}
	}
}

func (p *port) testRoles(t *testing.T) {
	created, err := p.fleet.Admin.Catalog.CreateApiKey(t.Context(), &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_PUBLISHER, Name: "ad server"})
	if err != nil {
		t.Fatal(err)
	}
	publisher := created.GetApiKey()
	adID := fmt.Sprintf(`{"ad_id":"%d"}`, p.own.Ads[0].GetAdId())
	if answer := p.call(t, "ImpressionService/IssueImpressions", publisher, adID); answer.Status != 200 {
		t.Errorf("a publisher cannot issue: %s", answer.Body)
	}
	own := fmt.Sprintf(`{"advertiser_id":"%d"}`, p.own.ID)
	now := time.Now().UTC().Truncate(time.Minute).Format(time.RFC3339)
	figures := fmt.Sprintf(`{"advertiser_id":"%d","start_time":"%s","end_time":"2027-01-01T00:00:00Z","granularity":"GRANULARITY_MONTH"}`, p.own.ID, now)
	for _, denied := range []struct{ who, key, method, body string }{
		{"publisher", publisher, "CatalogService/CreateAdvertiser", `{"name":"x"}`},
		{"publisher", publisher, "CatalogService/GetAd", adID},
		{"publisher", publisher, "CatalogService/ListAds", own},
		{"publisher", publisher, "CatalogService/ListApiKeys", `{}`},
		{"publisher", publisher, "CatalogService/CreateApiKey", `{"role":"ROLE_ADMIN"}`},
		{"publisher", publisher, "ReportService/QueryClicks", figures},
		{"publisher", publisher, "OperationsService/GetStatus", `{}`},
		{"advertiser", p.own.Key, "CatalogService/CreateAdvertiser", `{"name":"x"}`},
		{"advertiser", p.own.Key, "CatalogService/CreateApiKey", `{"role":"ROLE_ADMIN"}`},
		{"advertiser", p.own.Key, "CatalogService/CreateApiKey", `{"role":"ROLE_PUBLISHER"}`},
		{"advertiser", p.own.Key, "ImpressionService/IssueImpressions", adID},
		{"advertiser", p.own.Key, "OperationsService/GetStatus", `{}`},
	} {
		answer := p.call(t, denied.method, denied.key, denied.body)
		if f := faultOf(t, answer); f.Code != "permission_denied" {
			t.Errorf("%s, %s: answered %s", denied.who, denied.method, answer.Body)
		}
	}
}
