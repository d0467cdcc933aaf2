package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clickledger/internal/config"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

// browserTimeout is how long a browser may take to start and show something.
const browserTimeout = 2 * time.Minute

// chromium is where the browser is. CI has one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no Chromium: CI has to install one")
	}
	t.Skip("there is no Chromium here (apt-get install chromium, or name one in CHROMIUM): pages in a browser are not tried")
	return ""
}

// page is a web page of an origin of its own, and what a person who looks at it
// sees, by the ids of its parts.
type page struct {
	server *httptest.Server
	mu     sync.Mutex
	seen   map[string]string
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("testdata")))
	mux.HandleFunc("POST /seen", func(_ http.ResponseWriter, request *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := json.NewDecoder(request.Body).Decode(&p.seen); err != nil {
			t.Errorf("the page told nothing that can be read: %v", err)
		}
	})
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

// open has a browser show the page until the test ends.
func (p *page) open(t *testing.T, browser string, f *fleet.Fleet, advertiser *client.Advertiser) {
	t.Helper()
	address := p.server.URL + "/watch.html?" + url.Values{
		"gateway": {f.URL}, "key": {advertiser.Key}, "advertiser": {strconv.FormatInt(advertiser.ID, 10)},
	}.Encode()
	profile, err := os.MkdirTemp("", "clickledger-browser-")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--user-data-dir="+profile, address)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	command.Stderr = &said
	command.WaitDelay = browserTimeout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-command.Process.Pid, syscall.SIGKILL); err != nil {
			t.Errorf("end the browser: %v", err)
		}
		_ = command.Wait() // it was killed: that is its error
		_ = os.RemoveAll(profile)
		if t.Failed() {
			t.Logf("the browser said:\n%s", said.String())
		}
	})
}

// wait is until the page shows what is right.
func (p *page) wait(t *testing.T, what string, right func(seen map[string]string) bool) {
	t.Helper()
	err := poll.Until(t.Context(), browserTimeout, askInterval, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !right(p.seen) {
			return fmt.Errorf("the page shows %v", p.seen)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// A page of a configured origin asks and watches in a real browser; to one of
// another origin the browser tells nothing.
func TestAPageOfAnotherOriginWatchesInABrowser(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	own, foreign := newPage(t), newPage(t)
	f := fleet.Start(t, programs, map[string]string{config.Prefix + "CORS_ORIGINS": own.server.URL})
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", 1)
	if err != nil {
		t.Fatal(err)
	}
	own.open(t, browser, f, advertiser)
	own.wait(t, "before the first click", func(seen map[string]string) bool {
		return seen["query"] == "0" && seen["live"] == "0" && strings.Contains(seen["exported"], "11 rows, sealed through 2")
	})
	issued, err := traffic.Issue(t.Context(), f.Admin, advertiser.Ads[0].GetAdId(), 3)
	if err != nil {
		t.Fatal(err)
	}
	clicker := traffic.NewClicker(f.URL, &oracle.Oracle{})
	for _, impression := range issued {
		if answer, err := clicker.Click(t.Context(), impression); err != nil || !answer.Recorded() {
			t.Fatal(errors.Join(err, fmt.Errorf("answered %+v", answer)))
		}
	}
	own.wait(t, "after three clicks", func(seen map[string]string) bool { return seen["query"] == "3" && seen["live"] == "3" })

	foreign.open(t, browser, f, advertiser)
	foreign.wait(t, "of another origin", func(seen map[string]string) bool {
		return seen["query"] == "Failed to fetch" && seen["live"] == "Failed to fetch" && seen["exported"] == "Failed to fetch"
	})
}
