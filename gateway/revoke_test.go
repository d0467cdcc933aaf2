package main

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

// revokeTime is within what a revoked key ends everywhere.
const revokeTime = 5 * time.Second

// revocation is a publisher's key at two gateways.
type revocation struct {
	here, there *running
	adID        int64
	key         string
	keyID       int64
}

func (r revocation) issue(t *testing.T, at *running) error {
	t.Helper()
	_, err := clickledgerv1connect.NewImpressionServiceClient(http.DefaultClient, at.url, as(r.key)).
		IssueImpressions(t.Context(), &v1.IssueImpressionsRequest{AdId: r.adID})
	return err
}

func (r revocation) revoke(t *testing.T) {
	t.Helper()
	if _, err := r.here.catalog(r.here.config.AdminKey).RevokeApiKey(t.Context(), &v1.RevokeApiKeyRequest{KeyId: r.keyID}); err != nil {
		t.Fatal(err)
	}
}

// newRevocation makes a key that both gateways have seen to be good.
func newRevocation(t *testing.T, here, there *running) revocation {
	t.Helper()
	ad, _ := here.adOf(t)
	made, err := here.catalog(here.config.AdminKey).CreateApiKey(t.Context(), &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_PUBLISHER})
	if err != nil {
		t.Fatal(err)
	}
	r := revocation{here: here, there: there, adID: ad.GetAdId(), key: made.GetApiKey(), keyID: made.GetKeyId()}
	for _, g := range []*running{here, there} {
		if err := r.issue(t, g); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestARevokedKeyEndsAtEveryGatewayWithinFiveSecondsAlsoWithoutTheCache(t *testing.T) {
	gateways := startGateways(t, 2)
	cacheless := gateways[0].config
	cacheless.ValkeyCacheAddr = freeAddr(t) // nobody is there
	for name, there := range map[string]*running{"a gateway": gateways[1], "a gateway without the cache": startGateway(t, cacheless)} {
		r := newRevocation(t, gateways[0], there)
		r.revoke(t)
		revoked := time.Now()
		if err := r.issue(t, r.here); connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("where it was revoked: %v", err)
		}
		eventually(t, name+" to refuse the key", func() bool {
			begun := time.Now()
			err := r.issue(t, there)
			if err == nil && begun.Sub(revoked) > revokeTime {
				t.Errorf("%s takes the key %v after it was revoked", name, begun.Sub(revoked))
				return true
			}
			return connect.CodeOf(err) == connect.CodeUnauthenticated
		})
	}
}

// A gateway that cannot ask the store believes what it has heard of a key, but
// for one that others tell it was revoked.
func TestAGatewayWithoutTheStoreRefusesARevokedKeyAndNoOther(t *testing.T) {
	here := startGateways(t, 1)[0]
	line := newLine(t, here.config.ClickHouseAddrs[0])
	behind := here.config
	behind.ClickHouseAddrs = []string{line.addr}
	there := startGateway(t, behind)
	r, other := newRevocation(t, here, there), newRevocation(t, here, there)
	line.cut()
	r.revoke(t)
	eventually(t, "the gateway to refuse the key", func() bool { return connect.CodeOf(r.issue(t, there)) == connect.CodeUnavailable })
	if err := other.issue(t, there); err != nil {
		t.Errorf("another key: %v", err)
	}
}

// line passes connections on until it is cut.
type line struct {
	addr     string
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: listener.Addr().String(), listener: listener}
	t.Cleanup(l.cut)
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, from, onward)
			l.mu.Unlock()
			go func() { _, _ = io.Copy(onward, from) }()
			go func() { _, _ = io.Copy(from, onward) }()
		}
	}()
	return l
}

func (l *line) cut() {
	_ = l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}
