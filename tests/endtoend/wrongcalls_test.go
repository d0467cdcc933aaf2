package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"clickledger/tests/client"
)

// call posts JSON as curl would.
func (p *port) call(t *testing.T, method, key, body string) client.Answer {
	t.Helper()
	return p.post(t, method, key, "application/json", body)
}

func (p *port) post(t *testing.T, method, key, contentType, body string) client.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.fleet.URL+"/clickledger.v1."+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := client.Do(p.clicker.HTTP, request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// fault is a Connect error as JSON.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func faultOf(t *testing.T, answer client.Answer) fault {
	t.Helper()
	var f fault
	if err := json.Unmarshal([]byte(answer.Body), &f); err != nil {
		t.Fatalf("answered %d %.200q, no error in JSON", answer.Status, answer.Body)
	}
	return f
}

func expectFault(t *testing.T, answer client.Answer, code string, words ...string) {
	t.Helper()
	f := faultOf(t, answer)
	if f.Code != code || f.Message == "" {
		t.Errorf("answered %q %q, wanted %q", f.Code, f.Message, code)
	}
	for _, word := range words {
		if !strings.Contains(f.Message, word) {
			t.Errorf("message %q does not speak of %q", f.Message, word)
		}
	}
}

func (p *port) testWrongCalls(t *testing.T) {
	admin := p.fleet.Config.AdminKey
	own := fmt.Sprint(p.own.ID)
	adID := fmt.Sprint(p.own.Ads[0].GetAdId())
	ad := func(url string) string {
		quoted, _ := json.Marshal(url)
		return `{"advertiser_id":"` + own + `","ads":[{"name":"x","landing_url":` + string(quoted) + `}]}`
	}
	const invalid = "invalid_argument"
	for _, wrong := range []struct {
		name, method, body, code string
		words                    []string
	}{
		{"not JSON", "CatalogService/CreateAdvertiser", `{"name":`, invalid, nil},
		{"no object", "CatalogService/CreateAdvertiser", `7`, invalid, nil},
		{"unknown field", "CatalogService/CreateAdvertiser", `{"nmae":"x"}`, invalid, nil},
		{"wrong type", "CatalogService/CreateAdvertiser", `{"name":7}`, invalid, nil},
		{"no name", "CatalogService/CreateAdvertiser", `{}`, invalid, []string{"name"}},
		{"long name", "CatalogService/CreateAdvertiser", `{"name":"` + strings.Repeat("x", 201) + `"}`, invalid, []string{"name"}},
		{"no ads", "CatalogService/CreateAds", `{"advertiser_id":"` + own + `"}`, invalid, []string{"ads"}},
		{"ads of nobody", "CatalogService/CreateAds", strings.Replace(ad("https://a.example"), own, "77", 1), "not_found", []string{"advertiser"}},
		{"landing at a script", "CatalogService/CreateAds", ad("javascript:alert(1)"), invalid, []string{"landing_url"}},
		{"landing at a file", "CatalogService/CreateAds", ad("file:///etc/passwd"), invalid, []string{"landing_url"}},
		{"landing without host", "CatalogService/CreateAds", ad("https:///x"), invalid, []string{"landing_url"}},
		{"relative landing", "CatalogService/CreateAds", ad("/x"), invalid, []string{"landing_url"}},
		{"landing with a line end", "CatalogService/CreateAds", ad("https://a.example/\r\nSet-Cookie: x=1"), invalid, []string{"landing_url"}},
		{"landing with a user", "CatalogService/CreateAds", ad("https://bank.example@evil.example/"), invalid, []string{"landing_url"}},
		{"long landing", "CatalogService/CreateAds", ad("https://a.example/" + strings.Repeat("x", 2048)), invalid, []string{"landing_url"}},
		{"unknown ad", "CatalogService/GetAd", `{"ad_id":"123456789"}`, "not_found", []string{"ad"}},
		{"negative ad", "CatalogService/GetAd", `{"ad_id":"-1"}`, invalid, []string{"ad_id"}},
		{"ad beyond 64 bits", "CatalogService/GetAd", `{"ad_id":"99999999999999999999"}`, invalid, nil},
		{"unknown status", "CatalogService/UpdateAd", `{"ad_id":"` + adID + `","status":99}`, invalid, []string{"status"}},
		{"bad page token", "CatalogService/ListAds", `{"advertiser_id":"` + own + `","page_token":"../x"}`, invalid, []string{"page_token"}},
		{"impressions of an unknown ad", "ImpressionService/IssueImpressions", `{"ad_id":"123456789"}`, "not_found", []string{"ad"}},
		{"too many impressions", "ImpressionService/IssueImpressions", `{"ad_id":"` + adID + `","count":10001}`, invalid, []string{"count"}},
		{"negative impressions", "ImpressionService/IssueImpressions", `{"ad_id":"` + adID + `","count":-1}`, invalid, []string{"count"}},
		{"no token", "ClickService/RecordClick", `{}`, invalid, []string{"token"}},
		{"malformed token", "ClickService/RecordClick", `{"token":"x"}`, invalid, []string{"token"}},
		{"forged token", "ClickService/RecordClick", `{"token":"` + p.forger.Forged(p.own.Ads[0].GetAdId()) + `"}`, "permission_denied", []string{"token"}},
		{"key without an advertiser", "CatalogService/CreateApiKey", `{"role":"ROLE_ADVERTISER"}`, invalid, []string{"advertiser"}},
		{"key of no role", "CatalogService/CreateApiKey", `{"name":"x"}`, invalid, []string{"role"}},
		{"key that is over", "CatalogService/CreateApiKey", `{"role":"ROLE_PUBLISHER","expire_time":"2020-01-01T00:00:00Z"}`, invalid, []string{"expire_time"}},
		{"unknown key revoked", "CatalogService/RevokeApiKey", `{"key_id":"77"}`, "not_found", []string{"key"}},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			answer := p.call(t, wrong.method, admin, wrong.body)
			expectFault(t, answer, wrong.code, wrong.words...)
			if strings.Contains(answer.Body, "evil.example") || strings.Contains(answer.Body, "goroutine") {
				t.Errorf("the answer shows too much: %s", answer.Body)
			}
		})
	}
	p.click(t)
}

func (p *port) testWrongRanges(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Minute)
	stamp := func(at time.Time) string { return at.Format(time.RFC3339Nano) }
	hour := []string{stamp(now.Add(-time.Hour)), stamp(now)}
	for _, wrong := range []struct {
		name, start, end, more string
		words                  []string
	}{
		{"no start", "", hour[1], "", []string{"start_time"}},
		{"no end", hour[0], "", "", []string{"end_time"}},
		{"empty", hour[0], hour[0], "", []string{"start_time", "end_time"}},
		{"backwards", hour[1], hour[0], "", []string{"start_time", "end_time"}},
		{"half minutes", stamp(now.Add(-30 * time.Second)), hour[1], "", []string{"whole minutes"}},
		{"a year by the minute", stamp(now.Add(-366 * 24 * time.Hour)), hour[1], "", []string{"527,040 points asked", "at most 50,000", "coarser granularity"}},
		{"too long ago", "1970-01-01T00:00:00Z", hour[1], `,"granularity":"GRANULARITY_MONTH"`, []string{"start_time"}},
		{"too far ahead", hour[0], "2999-01-01T00:00:00Z", `,"granularity":"GRANULARITY_MONTH"`, []string{"end_time"}},
		{"no place", hour[0], hour[1], `,"time_zone":"Mars/Olympus"`, []string{"time_zone"}},
		{"the machine's own place", hour[0], hour[1], `,"time_zone":"Local"`, []string{"time_zone"}},
		{"a path for a place", hour[0], hour[1], `,"time_zone":"../../etc/passwd"`, []string{"time_zone"}},
		{"an ad twice", hour[0], hour[1], `,"ad_ids":["5","5"]`, []string{"ad_ids"}},
		{"paging, not built", hour[0], hour[1], `,"page_size":10`, []string{"page_size"}},
		{"a time before the ledger", hour[0], hour[1], `,"as_of":"2026-01-01T00:00:00Z"`, []string{"as_of"}},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			body := fmt.Sprintf(`{"advertiser_id":"%d"`, p.own.ID)
			if wrong.start != "" {
				body += `,"start_time":"` + wrong.start + `"`
			}
			if wrong.end != "" {
				body += `,"end_time":"` + wrong.end + `"`
			}
			answer := p.call(t, "ReportService/QueryClicks", p.own.Key, body+wrong.more+"}")
			expectFault(t, answer, "invalid_argument", wrong.words...)
		})
	}
}

func (p *port) testPlainHTTP(t *testing.T) {
	if answer := p.get(t, "/nothing/here"); answer.Status != http.StatusNotFound {
		t.Errorf("an unknown path is answered %d", answer.Status)
	} else {
		expectSentence(t, answer)
	}
	if answer := p.call(t, "ReportService/Nothing", p.own.Key, "{}"); answer.Status != http.StatusNotFound {
		t.Errorf("an unknown method is answered %d", answer.Status)
	}
	if answer := p.get(t, "/clickledger.v1.ReportService/QueryClicks"); answer.Status != http.StatusMethodNotAllowed && answer.Status != http.StatusUnsupportedMediaType {
		t.Errorf("a GET of a method is answered %d", answer.Status)
	}
	if answer := p.post(t, "ReportService/QueryClicks", p.own.Key, "text/plain", "{}"); answer.Status != http.StatusUnsupportedMediaType {
		t.Errorf("another content type is answered %d", answer.Status)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if answer := p.get(t, path); answer.Status != http.StatusNotFound {
			t.Errorf("%s is open to the public: %d", path, answer.Status)
		}
	}
}
