package secure

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"clickledger/internal/clickhouse"
	"clickledger/internal/temporal"
)

// ClickHouse and Temporal of the local stack cannot serve TLS themselves: a proxy
// before them ends it, as it does in many installations. So their own TLS is not
// tried here, the clients' is.

// endTLS listens for TLS and hands what comes to a server without.
func endTLS(t *testing.T, server identity, to string, protocols ...string) string {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(server.certificate, server.key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(in, to)
		}
	}()
	return listener.Addr().String()
}

func forward(in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}

func TestClickHouseByTLS(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	right := map[string]string{"CLICKHOUSE_TLS": "true", "TLS_CA_FILE": ours.path}
	var addrs []string
	for _, addr := range settings(t, nil).ClickHouseAddrs {
		addrs = append(addrs, endTLS(t, ours.issue(t, "clickhouse"), addr))
	}
	right["CLICKHOUSE_ADDRS"] = strings.Join(addrs, ",")
	c := settings(t, right)
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := clickhouse.DropDatabase(context.WithoutCancel(t.Context()), c); err != nil {
			t.Error(err)
		}
	}()
	store, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if version, err := store.NextVersion(t.Context()); err != nil || version == 0 {
		t.Errorf("%d, %v", version, err)
	}
	refused(t, "another authority", clickhouse.Migrate(t.Context(), settings(t, with(right, "TLS_CA_FILE", other.path))), "certificate signed by unknown authority")
	refused(t, "a wrong password", clickhouse.Migrate(t.Context(), settings(t, with(right, "CLICKHOUSE_PASSWORD", "wrong"))), "uthentication")
}

func TestTemporalByTLS(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	right := map[string]string{"TEMPORAL_TLS": "true", "TLS_CA_FILE": ours.path}
	right["TEMPORAL_ADDR"] = endTLS(t, ours.issue(t, "temporal"), settings(t, nil).TemporalAddr, "h2")
	if err := askTemporal(t, right); err != nil {
		t.Error(err)
	}
	refused(t, "another authority", askTemporal(t, with(right, "TLS_CA_FILE", other.path)), "certificate signed by unknown authority")
}

func askTemporal(t *testing.T, changes map[string]string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	connection, err := client.DialContext(ctx, temporal.Options(settings(t, changes), log.NewStructuredLogger(slog.New(slog.DiscardHandler))))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = connection.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}
