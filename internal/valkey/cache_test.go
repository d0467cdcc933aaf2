package valkey_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
	"clickledger/internal/valkey"
)

const cacheDeadline = 10 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openCache(t *testing.T, c config.Config) *valkey.Cache {
	t.Helper()
	cache, err := valkey.OpenCache(c, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	return cache
}

// removeCacheKeys ends the namespace of a test on the real server.
func removeCacheKeys(t *testing.T, c config.Config) {
	t.Helper()
	stacktest.Cleanup(t, "cache keys", func(ctx context.Context) error {
		client, err := vk.NewClient(vk.ClientOption{InitAddress: []string{c.ValkeyCacheAddr}, Password: c.ValkeyPassword, DisableCache: true})
		if err != nil {
			return err
		}
		defer client.Close()
		keys, err := client.Do(ctx, client.B().Keys().Pattern(c.KeyPrefix()+"*").Build()).AsStrSlice()
		if err != nil || len(keys) == 0 {
			return err
		}
		return client.Do(ctx, client.B().Del().Key(keys...).Build()).Error()
	})
}

func cachedAd(id int64, version uint64) click.Ad {
	return click.Ad{
		ID: id, AdvertiserID: 7, Name: "näme", LandingURL: "https://example.com/?a=1&b=2",
		Status: click.AdActive, FanOut: 3, Version: version,
	}
}

func TestOlderRowNeverReplacesNewer(t *testing.T) {
	c := stacktest.Config(t)
	removeCacheKeys(t, c)
	cache, ctx := openCache(t, c), t.Context()
	if _, err := cache.Get(ctx, 1); !errors.Is(err, click.ErrNotFound) {
		t.Fatalf("an empty cache: %v", err)
	}
	// 9 and 10: as text of unequal length the older would win.
	for _, version := range []uint64{10, 9, 1} {
		if err := cache.Put(ctx, cachedAd(1, version)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := cache.Get(ctx, 1); err != nil || got != cachedAd(1, 10) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := cache.Put(ctx, cachedAd(1, 11)); err != nil {
		t.Fatal(err)
	}
	if got, err := cache.Get(ctx, 1); err != nil || got != cachedAd(1, 11) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEveryCacheHearsOfAWrite(t *testing.T) {
	c := stacktest.Config(t)
	removeCacheKeys(t, c)
	heard := make(chan []int64, 100)
	listener := openCache(t, c)
	listener.Watch(t.Context(), func(ids []int64) { heard <- ids })
	if ids := receive(t, heard); ids != nil {
		t.Fatalf("the first word was %v, not that anything may have changed", ids)
	}
	if err := openCache(t, c).Put(t.Context(), cachedAd(5, 1)); err != nil {
		t.Fatal(err)
	}
	if ids := receive(t, heard); len(ids) != 1 || ids[0] != 5 {
		t.Errorf("heard %v", ids)
	}
}

func TestAwayCacheSaysSoAndMendsItself(t *testing.T) {
	c := stacktest.Config(t)
	removeCacheKeys(t, c)
	gate := newGate(t, c.ValkeyCacheAddr)
	behind := c
	behind.ValkeyCacheAddr = gate.addr
	heard := make(chan []int64, 100)
	cache, ctx := openCache(t, behind), t.Context() // the server is away at the start
	cache.Watch(t.Context(), func(ids []int64) { heard <- ids })
	if _, err := cache.Get(ctx, 1); !errors.Is(err, click.ErrUnavailable) {
		t.Fatalf("away: %v", err)
	}
	if err := cache.Put(ctx, cachedAd(1, 4)); !errors.Is(err, click.ErrUnavailable) {
		t.Fatalf("away: %v", err)
	}

	gate.open()
	if ids := receive(t, heard); ids != nil && ids[0] != 1 {
		t.Fatalf("after the outage heard %v", ids)
	}
	// What could not be written in the outage is written after it.
	direct := openCache(t, c)
	waitFor(t, "the row of the outage", func() bool {
		got, err := direct.Get(ctx, 1)
		return err == nil && got == cachedAd(1, 4)
	})

	gate.shut()
	waitFor(t, "the second outage to be noticed", func() bool {
		_, err := cache.Get(ctx, 1)
		return errors.Is(err, click.ErrUnavailable)
	})
	drain(heard)
	gate.open()
	for ids := receive(t, heard); ids != nil; ids = receive(t, heard) { // until: anything may have changed
	}
	if got, err := cache.Get(ctx, 1); err != nil || got != cachedAd(1, 4) {
		t.Errorf("after the second outage: %+v, %v", got, err)
	}
}

func receive(t *testing.T, from <-chan []int64) []int64 {
	t.Helper()
	select {
	case ids := <-from:
		return ids
	case <-time.After(cacheDeadline):
		t.Fatal("nothing was heard in time")
		return nil
	}
}

func drain(from <-chan []int64) {
	for {
		select {
		case <-from:
		default:
			return
		}
	}
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(cacheDeadline)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not in time", what)
		}
	}
}

// gate is a way to the real server that can be shut: an outage of one client.
type gate struct {
	addr, to string
	mu       sync.Mutex
	isOpen   bool
	conns    []net.Conn
}

// newGate makes a shut gate to a server.
func newGate(t *testing.T, to string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: listener.Addr().String(), to: to}
	t.Cleanup(func() { _ = listener.Close(); g.shut() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.admit(conn)
		}
	}()
	return g
}

func (g *gate) admit(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isOpen {
		_ = conn.Close()
		return
	}
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		_ = conn.Close()
		return
	}
	g.conns = append(g.conns, conn, server)
	go func() { _, _ = io.Copy(server, conn); _ = server.Close() }()
	go func() { _, _ = io.Copy(conn, server); _ = conn.Close() }()
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isOpen = true
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isOpen = false
	for _, conn := range g.conns {
		_ = conn.Close()
	}
	g.conns = nil
}
