package endtoend

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/traffic"
)

const (
	answerTimeout = 10 * time.Second
	sentenceMax   = 200 // characters of an error's body
)

func (p *port) testWrongClicks(t *testing.T) {
	adID := p.own.Ads[0].GetAdId()
	landing := p.own.Ads[0].GetLandingUrl()
	for _, wrong := range []struct {
		name, method, query string
		header              http.Header
		status              int
		location            string
	}{
		{"no token", "GET", "", nil, 400, ""},
		{"empty token", "GET", "t=", nil, 400, ""},
		{"another parameter", "GET", "token=" + p.token(t), nil, 400, ""},
		{"a word", "GET", "t=hello", nil, 400, ""},
		{"a character too few", "GET", "t=" + p.token(t)[1:], nil, 400, ""},
		{"a character too many", "GET", "t=" + p.token(t) + "A", nil, 400, ""},
		{"very long", "GET", "t=" + strings.Repeat("A", 5000), nil, 400, ""},
		{"not base64url", "GET", "t=" + strings.Repeat("*", 58), nil, 400, ""},
		{"standard base64", "GET", "t=" + strings.Repeat("+/", 29), nil, 400, ""},
		{"a bad escape", "GET", "t=%zz", nil, 400, ""},
		{"another version", "GET", "t=" + traffic.Flipped(p.token(t), 1), nil, 400, ""},
		{"unknown key", "GET", "t=" + traffic.Flipped(p.token(t), 8+7), nil, 403, ""},
		{"another ad", "GET", "t=" + traffic.Flipped(p.token(t), 5*8), nil, 403, ""},
		{"another impression", "GET", "t=" + traffic.Flipped(p.token(t), 20*8), nil, 403, ""},
		{"another signature", "GET", "t=" + traffic.Flipped(p.token(t), 27*8), nil, 403, ""},
		{"a stranger's signature", "GET", "t=" + p.forger.Forged(adID), nil, 403, ""},
		{"from the future", "GET", "t=" + p.forger.Issued(adID, time.Now().Add(time.Minute)), nil, 403, ""},
		{"unknown ad", "GET", "t=" + p.forger.Issued(rand.Int64(), time.Now()), nil, 404, ""},
		{"expired, unknown ad", "GET", "t=" + p.forger.Expired(rand.Int64()), nil, 404, ""},
		{"expired", "GET", "t=" + p.forger.Expired(adID), nil, 302, landing},
		{"HEAD", "HEAD", "t=" + p.token(t), nil, 302, landing},
		{"prefetch", "GET", "t=" + p.token(t), http.Header{"Sec-Purpose": {"prefetch"}}, 302, landing},
		{"prerender", "GET", "t=" + p.token(t), http.Header{"Sec-Purpose": {"prefetch;prerender"}}, 302, landing},
		{"POST", "POST", "t=" + p.token(t), nil, 405, ""},
		{"PUT", "PUT", "t=" + p.token(t), nil, 405, ""},
		{"DELETE", "DELETE", "t=" + p.token(t), nil, 405, ""},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), wrong.method, p.fleet.URL+"/click?"+wrong.query, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header = wrong.header
			answer, err := client.Do(p.clicker.HTTP, request)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Status != wrong.status || answer.Location != wrong.location {
				t.Errorf("answered %d to %q, wanted %d to %q", answer.Status, answer.Location, wrong.status, wrong.location)
			}
			expectHarmless(t, answer)
		})
	}
}

// expectHarmless: not recorded, not cached, and if refused, in a plain
// sentence that repeats nothing the client sent.
func expectHarmless(t *testing.T, answer client.Answer) {
	t.Helper()
	if answer.Recorded() {
		t.Error("it was recorded")
	}
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers are %v", answer.Header)
	}
	if answer.Status == http.StatusFound {
		return
	}
	expectSentence(t, answer)
}

func expectSentence(t *testing.T, answer client.Answer) {
	t.Helper()
	body := strings.TrimSpace(answer.Body)
	if body == "" || len(body) > sentenceMax || strings.Contains(body, "\n") || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the answer is no plain sentence: %q (%s)", body, answer.Header.Get("Content-Type"))
	}
}

// The only places a click leads to are those in the catalogue; nothing sent
// comes back as a header.
func (p *port) testInjection(t *testing.T) {
	token := p.click(t)
	for _, query := range []string{
		"t=" + token + "&url=https://evil.example",
		"url=https://evil.example&t=" + token,
		"t=" + token + "&t=" + p.forger.Forged(1),
		"t=" + token + "#https://evil.example",
	} {
		answer := p.get(t, "/click?"+query)
		if answer.Status != http.StatusFound || answer.Location != p.own.Ads[0].GetLandingUrl() {
			t.Errorf("%s leads to %d %s", query, answer.Status, answer.Location)
		}
	}
	for _, path := range []string{
		"/click?t=" + url.QueryEscape(token+"\r\nSet-Cookie: evil=1"),
		"/click?t=%0d%0aLocation:%20https://evil.example",
		"/click/../click?t=" + token,
		"//evil.example/click?t=" + token,
		"/click//?t=" + token,
		"/%63lick/?t=" + token,
		"/\r\nLocation:https://evil.example",
		"/https://evil.example",
	} {
		answer := p.getRaw(t, path)
		if answer.StatusCode < 400 || answer.Header.Get("Location") != "" || answer.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q is answered %d with %v", path, answer.StatusCode, answer.Header)
		}
	}
}

func (p *port) get(t *testing.T, path string) client.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.fleet.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(p.clicker.HTTP, request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// getRaw sends a request line as it is, which no client library would.
func (p *port) getRaw(t *testing.T, path string) *http.Response {
	t.Helper()
	return p.exchangeRaw(t, "GET "+path+" HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
}

func (p *port) exchangeRaw(t *testing.T, request string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(p.fleet.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(answerTimeout))
	// The server may answer, and close, before it has read everything.
	go func() { _, _ = conn.Write([]byte(request)) }()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", request, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (p *port) testTooLarge(t *testing.T) {
	header := p.exchangeRaw(t, "GET /click?t=x HTTP/1.1\r\nHost: gateway\r\nX-Large: "+strings.Repeat("x", 200<<10)+"\r\n\r\n")
	if header.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a huge header is answered %d", header.StatusCode)
	}
	line := p.exchangeRaw(t, "GET /click?t="+strings.Repeat("x", 200<<10)+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
	if line.StatusCode < 400 || line.StatusCode >= 500 {
		t.Errorf("a huge request line is answered %d", line.StatusCode)
	}
	answer := p.call(t, "CatalogService/CreateAdvertiser", p.fleet.Config.AdminKey, `{"name":"`+strings.Repeat("x", 8<<20)+`"}`)
	if answer.Status != http.StatusTooManyRequests && answer.Status != http.StatusRequestEntityTooLarge && answer.Status != http.StatusBadRequest {
		t.Errorf("a huge body is answered %d %.200s", answer.Status, answer.Body)
	}
	p.click(t)
}
