package server

import (
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// tokenPlace is where a fuzzed query has a genuine token put in.
const tokenPlace = "TOKEN"

// Whatever a client sends, a redirect goes where the catalogue says for the ad
// of a token signed here, and no header or body has anything else of it.
func FuzzClick(f *testing.F) {
	g := newGateway(f)
	landings := map[int64]string{5: testAd(5).LandingURL, 6: "https://paused.example.com/"}
	g.addAd(testAd(5))
	paused := testAd(6)
	paused.LandingURL, paused.Status = landings[6], click.AdPaused
	g.addAd(paused)
	for _, query := range []string{
		"t=TOKEN", "a=b&t=TOKEN&c", "t=%54OKEN", "t=", "", "t=%zz", "t=TOKEN%0d%0aLocation:%20https://evil.example.com",
		"t=x&t=TOKEN", "t=TOKEN;u=https://evil.example.com", "%74=TOKEN", "t=TOKEN\r\nSet-Cookie: a=b", strings.Repeat("&", 300) + "t=TOKEN",
	} {
		f.Add("GET", query, "", "", int64(5), int32(60))
	}
	f.Add("HEAD", "t=TOKEN", "prefetch;prerender", "evil.example.com", int64(6), int32(0))
	f.Add("POST", "t=TOKEN", "x\r\ny", "[::1", int64(5), int32(60))
	f.Add("GET", "t=TOKEN", "", "", int64(99), int32(60))
	f.Add("GET", "t=TOKEN", "", "", int64(5), int32(90_000)) // expired
	f.Add("GET", "t=TOKEN", "", "", int64(5), int32(-60))    // of the future
	f.Fuzz(func(t *testing.T, method, query, purpose, host string, adID int64, age int32) {
		issued := g.token(t, adID, time.Duration(age)*time.Second)
		query = strings.ReplaceAll(query, tokenPlace, issued)
		answer := httptest.NewRecorder()
		g.server.http.Handler.ServeHTTP(answer, (&http.Request{
			Method: method, URL: &url.URL{Path: clickPath, RawQuery: query}, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Sec-Purpose": {purpose}, "X-Forwarded-Host": {host}, "Referer": {purpose}}, RemoteAddr: "192.0.2.1:1234",
			Body: http.NoBody,
		}).WithContext(t.Context()))
		wantOurAnswer(t, answer, issued, query, landings[adID])
		g.stream.set(func(s *memoryStream) { s.clicks = nil })
	})
}

func wantOurAnswer(t *testing.T, answer *httptest.ResponseRecorder, issued, query, landing string) {
	t.Helper()
	known := []string{"Allow", "Cache-Control", "Clickledger-Clicked-At", "Content-Type", "Location", "Referrer-Policy", "Retry-After", "X-Content-Type-Options"}
	for name, values := range answer.Header() {
		if !slices.Contains(known, name) || len(values) != 1 || strings.ContainsAny(values[0], "\r\n") {
			t.Errorf("header %q: %q", name, values)
		}
	}
	location := answer.Header().Get("Location")
	switch answer.Code {
	case http.StatusFound:
		if token, ok := tokenOf(query); !ok || token != issued || location != landing || landing == "" || answer.Body.Len() != 0 {
			t.Errorf("%q was redirected to %q, its ad's landing is %q", query, location, landing)
		}
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		if location != "" || answer.Header().Get(clickedAtHeader) != "" || strings.Count(answer.Body.String(), "\n") > 1 || answer.Body.Len() > 100 {
			t.Errorf("%q was refused with %v: %q", query, answer.Header(), answer.Body)
		}
	default:
		t.Errorf("%q was answered %d: %q", query, answer.Code, answer.Body)
	}
}

// A range that is accepted is covered by points in their order, at most 50,000.
func FuzzReportRange(f *testing.F) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	begin := now.Unix() / 60
	for _, zone := range []string{"", "Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Local", "../../etc/passwd", "Etc/GMT+12"} {
		for granularity := range int32(len(v1.Granularity_name)) {
			f.Add(begin*60, (begin+60)*60, granularity, zone, uint16(2), true)
		}
	}
	f.Add(int64(-1)<<63, int64(1)<<62, int32(1), "", uint16(0), false)
	f.Add((begin-400*1440)*60, begin*60, int32(2), "Australia/Lord_Howe", uint16(1000), true)
	f.Add(begin*60+1, begin*60, int32(-7), "", uint16(0), false)
	f.Fuzz(func(t *testing.T, from, to int64, granularity int32, zone string, ads uint16, byAd bool) {
		asked, err := readRange(&v1.QueryClicksRequest{
			StartTime: &timestamppb.Timestamp{Seconds: from}, EndTime: &timestamppb.Timestamp{Seconds: to},
			Granularity: v1.Granularity(granularity), TimeZone: zone, AdIds: make([]int64, ads), GroupByAd: byAd,
		}, now)
		if err != nil || v1.Granularity_name[granularity] == "" { // the contract refuses a granularity of no name before
			return
		}
		series := 1
		if byAd {
			series = max(int(ads), 1)
		}
		if len(asked.starts) == 0 || len(asked.starts)*series > pointsMax || !asked.starts[0].Equal(asked.from) {
			t.Fatalf("%d points of %d series from %v", len(asked.starts), series, asked.from)
		}
		for i, start := range asked.starts {
			if !start.Before(asked.end(i)) || asked.end(i).After(asked.to) {
				t.Fatalf("point %d is from %v to %v, in a report to %v", i, start, asked.end(i), asked.to)
			}
		}
	})
}

// No request for figures is a fault of the server's: it is answered or refused.
func FuzzQueryClicks(f *testing.F) {
	g := newGateway(f)
	g.store.advertisers[7] = click.Advertiser{ID: 7}
	g.addAd(testAd(5))
	today := time.Now().UTC().Truncate(24 * time.Hour)
	times := `"startTime":"` + today.Format(time.RFC3339) + `","endTime":"` + today.Add(time.Hour).Format(time.RFC3339) + `"`
	for _, body := range []string{
		`{"advertiserId":"7",` + times + `}`, `{"advertiser_id":7,"ad_ids":["5"],"granularity":"GRANULARITY_HOUR","group_by_ad":true,` + times + `}`,
		`{"advertiserId":"7","timeZone":"Europe/Berlin","granularity":99,` + times + `}`, `{"advertiserId":"7","startTime":"9999-12-31T23:59:59Z"}`,
		`{"advertiserId":"7","pageSize":-1,` + times + `}`, `{"advertiserId":"-9223372036854775808"}`, `{"unknown":1}`, `{`, ``, `null`, `[]`,
		`{"advertiserId":"7","adIds":[5,5],` + times + `}`, `{"advertiserId":1e18,"asOf":"0001-01-01T00:00:00Z",` + times + `}`,
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	headers := http.Header{"Authorization": {"Bearer " + testAdminKey}, "Connect-Protocol-Version": {"1"}}
	f.Fuzz(func(t *testing.T, body []byte, binary bool) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/clickledger.v1.ReportService/QueryClicks", bytes.NewReader(body))
		maps.Copy(request.Header, headers)
		request.Header.Set("Content-Type", map[bool]string{true: "application/proto", false: "application/json"}[binary])
		answer := httptest.NewRecorder()
		g.server.http.Handler.ServeHTTP(answer, request)
		if !slices.Contains([]int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound}, answer.Code) {
			t.Errorf("%q was answered %d: %s", body, answer.Code, answer.Body)
		}
	})
}
