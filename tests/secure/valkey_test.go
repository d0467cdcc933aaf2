package secure

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/valkey"
)

func TestValkeyByTLSAndPassword(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	server, client := ours.issue(t, "server"), ours.issue(t, "client")
	addr := free(t, 1)[0]
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "valkey.conf"), fmt.Sprintf(`bind 127.0.0.1
port 0
tls-port %s
tls-cert-file %s
tls-key-file %s
tls-ca-cert-file %s
tls-auth-clients yes
dir %s
save ""
maxmemory 64mb
maxmemory-policy noeviction
user default off
user clicker on >%s ~* &* +@all
`, portOf(addr), server.certificate, server.key, ours.path, dir, password))
	serve(t, nil, tool(t, "valkey-*/valkey-server"), file)
	right := map[string]string{
		"VALKEY_SEEN_ADDR": addr, "VALKEY_CACHE_ADDR": addr, "VALKEY_TLS": "true", "VALKEY_USER": "clicker", "VALKEY_PASSWORD": password,
		"TLS_CA_FILE": ours.path, "TLS_CERT_FILE": client.certificate, "TLS_KEY_FILE": client.key,
	}
	c := settings(t, right)
	seen, err := valkey.OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	until(t, "the seen index", seen.Ping)
	fillSeen(t, seen)
	gateways, err := valkey.OpenGateways(c)
	if err != nil {
		t.Fatal(err)
	}
	defer gateways.Close()
	if err := gateways.Tell(t.Context(), click.GatewayState{JournalID: "secure", At: time.Now()}); err != nil {
		t.Error(err)
	}
	if states, err := gateways.List(t.Context()); err != nil || len(states) != 1 {
		t.Errorf("%v, %v", states, err)
	}

	refused(t, "another authority", pingSeen(t, with(right, "TLS_CA_FILE", other.path)), "certificate signed by unknown authority")
	refused(t, "without a certificate", pingSeen(t, with(right, "TLS_CERT_FILE", "", "TLS_KEY_FILE", "")), "certificate required", "EOF", "reset", "unavailable")
	refused(t, "a wrong password", pingSeen(t, with(right, "VALKEY_PASSWORD", "wrong")), "WRONGPASS")
	refused(t, "without TLS", pingSeen(t, with(right, "VALKEY_TLS", "false")), "EOF", "reset", "unavailable")
}

// fillSeen marks an impression and asks for it.
func fillSeen(t *testing.T, seen *valkey.SeenIndex) {
	t.Helper()
	run, err := seen.BeginRebuild(t.Context(), "secure", nil)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := seen.FinishRebuild(t.Context(), "secure", run); err != nil || !done {
		t.Fatalf("finished: %v, %v", done, err)
	}
	ids := []click.ImpressionID{impression(t, 1), impression(t, 2)}
	if err := seen.Mark(t.Context(), ids[:1]); err != nil {
		t.Fatal(err)
	}
	if was, err := seen.Ask(t.Context(), ids); err != nil || !was[0] || was[1] {
		t.Errorf("seen: %v, %v", was, err)
	}
}

func pingSeen(t *testing.T, changes map[string]string) error {
	t.Helper()
	seen, err := valkey.OpenSeenIndex(settings(t, changes))
	if err != nil {
		return err
	}
	defer seen.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return seen.Ping(ctx)
}
