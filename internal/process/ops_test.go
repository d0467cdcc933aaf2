package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func get(t *testing.T, o *Ops, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + o.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestReadinessNamesWhatIsNotReady(t *testing.T) {
	o, err := NewOps("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go o.Serve(slog.New(slog.DiscardHandler))
	defer o.Stop()

	fault := errors.New("kafka does not answer")
	o.AddCheck("clickhouse", func(context.Context) error { return nil })
	o.AddCheck("kafka", func(context.Context) error { return fault })
	status, body := get(t, o, "/readyz")
	var parts map[string]string
	if err := json.Unmarshal([]byte(body), &parts); err != nil {
		t.Fatal(err)
	}
	if status != http.StatusServiceUnavailable || parts["kafka"] != fault.Error() || parts["clickhouse"] != "ok" {
		t.Errorf("answered %d %s", status, body)
	}

	o.AddCheck("kafka", func(context.Context) error { return nil })
	if status, body := get(t, o, "/readyz"); status != http.StatusOK {
		t.Errorf("all is well, but it answered %d %s", status, body)
	}
	o.NotReady()
	if status, _ := get(t, o, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("a stopping process answered %d", status)
	}
	if status, _ := get(t, o, "/healthz"); status != http.StatusOK {
		t.Errorf("a stopping process is alive, but it answered %d", status)
	}
	if status, body := get(t, o, "/metrics"); status != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %d", status)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		arg  string
		code int
		out  string
		err  string
	}{
		{"--help", 0, "CLICKLEDGER_ADMIN_KEY", ""},
		{"--verbose", 2, "", "unexpected argument"},
	} {
		var out, errOut bytes.Buffer
		code := usage(&out, &errOut, "gateway", "redirects clicks", []string{c.arg})
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) {
			t.Errorf("%s: code %d, out %q, error %q", c.arg, code, out.String(), errOut.String())
		}
	}
}
