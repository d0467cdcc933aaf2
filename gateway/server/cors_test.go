package server

import (
	"net/http"
	"strings"
	"testing"

	"clickledger/internal/config"
)

const watchPath = "/clickledger.v1.ReportService/WatchClicks"

// preflight asks as a browser does before a page's call.
func (g *gateway) preflight(t *testing.T, path, origin string) http.Header {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, g.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", origin)
	request.Header.Set("Access-Control-Request-Method", http.MethodPost)
	request.Header.Set("Access-Control-Request-Headers", "authorization,connect-protocol-version,content-type")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.Header
}

func TestOnlyPagesOfConfiguredOriginsMayCall(t *testing.T) {
	own := "https://reports.example.com"
	for _, test := range []struct {
		name       string
		configured []string
		path       string
		origin     string
		allowed    string
	}{
		{"a configured origin", []string{own}, watchPath, own, own},
		{"the export", []string{own}, exportPath, own, own},
		{"another origin", []string{own}, watchPath, "https://evil.example.com", ""},
		{"another scheme", []string{own}, watchPath, "http://reports.example.com", ""},
		{"a longer name", []string{own}, watchPath, own + ".evil.example.com", ""},
		{"none configured", nil, watchPath, own, ""},
		{"a click", []string{own}, clickPath, own, ""},
	} {
		g := newGatewayWith(t, func(c *config.Config) { c.CORSOrigins = test.configured }, func(*http.Server) {})
		header := g.preflight(t, test.path, test.origin)
		if got := header.Get("Access-Control-Allow-Origin"); got != test.allowed {
			t.Errorf("%s: allowed is %q", test.name, got)
		}
		if header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", test.name)
		}
		if test.allowed != "" && !strings.Contains(strings.ToLower(header.Get("Access-Control-Allow-Headers")), "authorization") {
			t.Errorf("%s: a page may not show a key: %v", test.name, header)
		}
	}
}
