package server

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "clickledger/proto/gen/clickledger/v1"
)

// export asks for a CSV file.
func (g *gateway) export(t *testing.T, key, parameters string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+exportPath+"?"+parameters, nil)
	if err != nil {
		t.Fatal(err)
	}
	bearer(key).show(request.Header)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// today is the parameters of an export from this midnight on.
func today(advertiserID int64, length time.Duration, more string) (time.Time, string) {
	from := time.Now().UTC().Truncate(24 * time.Hour)
	return from, url.Values{
		"advertiser_id": {fmt.Sprint(advertiserID)}, "start_time": {from.Format(time.RFC3339)}, "end_time": {from.Add(length).Format(time.RFC3339)},
	}.Encode() + more
}

func TestAnExportHasARowForEachPoint(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	from, parameters := today(id, 3*time.Hour, "&granularity=HOUR&time_zone=Asia/Kolkata")
	g.store.sealed = from.Add(2 * time.Hour)
	g.store.figures = func(q FiguresQuery) Figures {
		return Figures{
			Sealed: []Figure{{Start: q.Starts[0], Clicks: 3}, {Start: q.Starts[1], Clicks: 4}}, Fresh: []Figure{{Start: q.Starts[2], Clicks: 5}},
			Restated: []Figure{{Start: q.Starts[1]}},
			Filtered: []FilteredFigure{{Start: q.Starts[0], ByReason: []uint64{1, 1, 0, 0}}},
		}
	}
	response := g.export(t, key, parameters)
	body, err := io.ReadAll(response.Body)
	day := from.Format("2006-01-02")
	want := "start_time,ad_id,clicks,filtered,state\n" +
		day + "T05:30:00+05:30,,3,2,FINAL\n" + day + "T06:00:00+05:30,,4,0,RESTATED\n" + day + "T07:00:00+05:30,,5,0,PROVISIONAL\n" + day + "T08:00:00+05:30,,0,0,PROVISIONAL\n"
	if err != nil || response.StatusCode != http.StatusOK || string(body) != want {
		t.Errorf("%d, %v:\n%s\nwant\n%s", response.StatusCode, err, body, want)
	}
	if response.Header.Get(sealedThroughHeader) != g.store.sealed.Format(time.RFC3339) || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("headers %v", response.Header)
	}
}

// manyAds makes the store have one click of each of so many ads.
func (g *gateway) manyAds(ads int, asked func(FiguresQuery)) {
	g.store.figures = func(q FiguresQuery) Figures {
		asked(q)
		var f Figures
		for ad := range int64(ads) {
			if len(q.AdIDs) == 0 || ad+1 >= q.AdIDs[0] && ad+1 <= q.AdIDs[len(q.AdIDs)-1] {
				f.Sealed = append(f.Sealed, Figure{AdID: ad + 1, Start: q.From, Clicks: uint64(ad + 1)})
			}
		}
		return f
	}
}

func TestAllPagesOfAnExportAreAsOfOneSeal(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	const ads = 23
	pages, first := 0, time.Time{}
	g.store.sealed = time.Now().UTC().Truncate(time.Hour)
	g.manyAds(ads, func(q FiguresQuery) {
		if len(q.AdIDs) > 0 {
			pages++
		}
		if first.IsZero() {
			first = q.SealedThrough
		}
		if !q.SealedThrough.Equal(first) {
			t.Errorf("a page is as of %v, the first of %v", q.SealedThrough, first)
		}
		g.store.sealed = g.store.sealed.Add(time.Minute) // minutes are sealed meanwhile
	})
	_, parameters := today(id, 24*time.Hour, "&group_by_ad=true")
	response := g.export(t, key, parameters)
	rows, err := csv.NewReader(response.Body).ReadAll()
	if err != nil || len(rows) != 1+ads*24*60 || pages != 4 { // six ads a page
		t.Fatalf("%d rows in %d pages: %v", len(rows), pages, err)
	}
	seen := map[string]bool{}
	for i, row := range rows[1:] {
		if ad := fmt.Sprint(1 + i/(24*60)); row[1] != ad || seen[row[0]+row[1]] {
			t.Fatalf("row %d is %v, want ad %s", i, row, ad)
		}
		seen[row[0]+row[1]] = true
	}
	if response.Header.Get(sealedThroughHeader) != first.Format(time.RFC3339) {
		t.Errorf("headers %v", response.Header)
	}
}

// A file that is too short is never taken for a whole one.
func TestAnExportThatFailsHalfWayIsBrokenOff(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	g.manyAds(23, func(q FiguresQuery) {
		g.store.away = g.store.away || len(q.AdIDs) > 0 && q.AdIDs[0] > 6 // from the third page on
	})
	_, parameters := today(id, 24*time.Hour, "&group_by_ad=true")
	for name, over := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": http2(t)} {
		t.Run(name, func(t *testing.T) {
			g.store.away = false
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+exportPath+"?"+parameters, nil)
			if err != nil {
				t.Fatal(err)
			}
			bearer(key).show(request.Header)
			response, err := over.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusOK || err == nil || len(body) == 0 {
				t.Errorf("status %d, %d bytes, then %v", response.StatusCode, len(body), err)
			}
		})
	}
	if !strings.Contains(g.logs.String(), "an export broke off") {
		t.Error("nothing is in the log")
	}
}

func TestAStoreThatIsBusyForAMomentBreaksNoExportOff(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	busy := 0
	reports := &reportService{store: g.store, now: time.Now}
	_, parameters := today(id, 24*time.Hour, "&group_by_ad=true")
	values, err := url.ParseQuery(parameters)
	if err != nil {
		t.Fatal(err)
	}
	g.manyAds(23, func(FiguresQuery) {})
	h := newExportHandler(reports, nil, slog.New(slog.DiscardHandler))
	e := &export{ask: func(ctx context.Context, in *v1.QueryClicksRequest, asked reportRange, q FiguresQuery) (*v1.QueryClicksResponse, error) {
		if busy++; busy%2 == 0 {
			return nil, exhaustedf("too many reports are being read just now")
		}
		return reports.query(ctx, in, asked, q)
	}}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, exportPath+"?"+values.Encode(), nil)
	bearer(key).show(request.Header)
	if err := h.begin(asAdvertiser(t, id), request, e); err != nil {
		t.Fatal(err)
	}
	e.again = func() error { return nil }
	pages := 1
	for ; e.page.GetNextPageToken() != ""; pages++ {
		if err := e.next(); err != nil {
			t.Fatal(err)
		}
	}
	if pages != 4 || busy != 7 {
		t.Errorf("%d pages, asked for %d times", pages, busy)
	}
}

func TestWhatCannotBeExportedIsRefusedInWords(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	foreign, _, _ := g.advertiser(t)
	_, right := today(id, time.Hour, "")
	_, others := today(foreign, time.Hour, "")
	_, long := today(id, 60*24*time.Hour, "")
	for _, test := range []struct {
		name, key, parameters string
		status                int
		sentence              string
	}{
		{"without a key", "", right, http.StatusUnauthorized, "an API key is needed"},
		{"with a wrong key", "nonsense", right, http.StatusUnauthorized, "not valid"},
		{"another advertiser", key, others, http.StatusForbidden, "does not allow"},
		{"nobody", testAdminKey, strings.Replace(right, fmt.Sprint(id), "99", 1), http.StatusNotFound, "no such advertiser"},
		{"a misspelt parameter", key, right + "&granulrity=DAY", http.StatusBadRequest, `"granulrity" is no parameter`},
		{"pages", key, right + "&page_size=5", http.StatusBadRequest, "without its pages"},
		{"a misspelt value", key, right + "&granularity=DAYS", http.StatusBadRequest, "granularity cannot be read"},
		{"a parameter twice", key, right + "&time_zone=UTC&time_zone=Asia/Kolkata", http.StatusBadRequest, "time_zone cannot be read"},
		{"parameters that cannot be told apart", key, right + "&ad_ids=1;2", http.StatusBadRequest, "cannot be read"},
		{"half an escape", key, right + "&ad_ids=%3", http.StatusBadRequest, "cannot be read"},
		{"half a boolean", key, right + "&group_by_ad=yes", http.StatusBadRequest, "true or false"},
		{"no time", key, "advertiser_id=" + fmt.Sprint(id) + "&start_time=yesterday", http.StatusBadRequest, "2026-11-23T10:00:00Z"},
		{"no end", key, "advertiser_id=" + fmt.Sprint(id) + "&start_time=2026-11-23T10:00:00Z", http.StatusBadRequest, "end_time"},
		{"too much", key, long, http.StatusBadRequest, "at most 50,000"},
		{"quotes", key, right + "&time_zone=%22%7D", http.StatusBadRequest, "IANA"},
	} {
		response := g.export(t, test.key, test.parameters)
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != test.status || !strings.Contains(string(body), test.sentence) {
			t.Errorf("%s: %d %s", test.name, response.StatusCode, body)
		}
	}
	g.store.goAway()
	if response := g.export(t, testAdminKey, right); response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("without a store: %d %v", response.StatusCode, response.Header)
	}
}

func TestExportsAreLimited(t *testing.T) {
	h := newExportHandler(&reportService{}, nil, slog.New(slog.DiscardHandler))
	var leave []func()
	for i := range int64(exportsMax) {
		one, err := h.admit(tenant{advertiserID: i / exportsPerTenantMax})
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, one)
	}
	_, err := h.admit(tenant{advertiserID: 99})
	wantCode(t, "one more", err, connect.CodeResourceExhausted)
	leave[0]()
	if _, err = h.admit(tenant{advertiserID: 1}); err == nil || !strings.Contains(err.Error(), "of your exports") {
		t.Errorf("one more of an advertiser: %v", err)
	}
	if _, err = h.admit(tenant{advertiserID: 0}); err != nil {
		t.Errorf("in the place of one that ended: %v", err)
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, exportPath, nil))
	if answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", answer.Code, answer.Body)
	}
}

func TestAStoppingGatewayWaitsForNoExport(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	pages := 0
	g.manyAds(1_000, func(q FiguresQuery) {
		if pages++; pages == 4 {
			g.server.exports.close()
		}
	})
	_, parameters := today(id, 24*time.Hour, "&group_by_ad=true")
	response := g.export(t, key, parameters)
	if _, err := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || err == nil || pages > 5 {
		t.Errorf("status %d, %d pages, then %v", response.StatusCode, pages, err)
	}
	if response = g.export(t, key, parameters); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("who comes then is answered %d", response.StatusCode)
	}
}

func TestARefusedExportTellsNoCause(t *testing.T) {
	answer := httptest.NewRecorder()
	refuseExport(answer, errors.New("table clicks of 10.0.0.1"))
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "10.0.0.1") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if statusOf(connect.CodeUnknown) != http.StatusInternalServerError {
		t.Error("an unknown code is no success")
	}
}
