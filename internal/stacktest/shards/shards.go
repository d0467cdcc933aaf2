// Package shards starts ClickHouse servers of a test's own, as the shards of one
// store, and stops them in the middle. The programs are those of the local
// stack, which `just up` installs; the other servers are the stack's too. It is
// imported by tests only.
package shards

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// Shards are running servers; the first is the home shard. It is not safe for
// concurrent use.
type Shards struct{ servers []*server }

// Start starts count servers, of which the first spread of them are the store's
// shards; Spread takes more of them in. They end, and their data goes, with the
// test.
func Start(t testing.TB, count, spread int) *Shards {
	t.Helper()
	variables, err := config.LocalVariables()
	if err != nil {
		t.Fatal(err)
	}
	launcher, library, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := freeAddrs(2 * count)
	if err != nil {
		t.Fatal(err)
	}
	s := &Shards{}
	for i := range count {
		s.servers = append(s.servers, &server{
			launcher: launcher, library: library, dir: t.TempDir(), tcp: addrs[2*i], http: addrs[2*i+1],
			user: variables[config.Prefix+"CLICKHOUSE_USER"], password: variables[config.Prefix+"CLICKHOUSE_PASSWORD"],
		})
	}
	t.Cleanup(func() {
		for i := range s.servers {
			if t.Failed() {
				t.Logf("shard %d said: %s", i+1, s.servers[i].said())
			}
			s.Kill(t, i)
		}
	})
	s.Spread(t, spread)
	return s
}

// Spread starts all servers anew with the first count of them as shards.
func (s *Shards) Spread(t testing.TB, count int) {
	t.Helper()
	if err := s.SpreadOver(t.Context(), count); err != nil {
		t.Fatal(err)
	}
}

// SpreadOver is Spread beside the test's own goroutine.
func (s *Shards) SpreadOver(ctx context.Context, count int) error {
	for _, server := range s.servers {
		err := server.kill()
		if err == nil {
			err = server.configure(s.Addrs()[:count])
		}
		if err == nil {
			err = server.start(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Addrs are the servers' addresses, by number.
func (s *Shards) Addrs() []string {
	addrs := make([]string, len(s.servers))
	for i, server := range s.servers {
		addrs[i] = server.tcp
	}
	return addrs
}

// Config is the stack's with a fresh namespace and the first count servers.
func (s *Shards) Config(t testing.TB, count int) config.Config {
	t.Helper()
	variables := stacktest.Variables(t)
	variables[config.Prefix+"CLICKHOUSE_ADDRS"] = strings.Join(s.Addrs()[:count], ",")
	c, err := config.LoadFrom(variables)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Kill ends server i, from 0, as a power cut would.
func (s *Shards) Kill(t testing.TB, i int) {
	t.Helper()
	if err := s.servers[i].kill(); err != nil {
		t.Fatal(err)
	}
}

// Revive starts server i again, with the data it had.
func (s *Shards) Revive(t testing.TB, i int) {
	t.Helper()
	if err := s.servers[i].start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// programs are the launcher and the engine that `just up` has installed.
func programs() (launcher, library string, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", "", fmt.Errorf("find the project's root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			return "", "", errors.New("find the project's root: no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
	launcher = filepath.Join(dir, ".local", "bin", "clickhouse-server")
	libraries, err := filepath.Glob(filepath.Join(dir, ".local", "tools", "clickhouse-*", "libchdb.so"))
	if err != nil {
		return "", "", fmt.Errorf("find the engine: %w", err)
	}
	if _, err := os.Stat(launcher); err != nil || len(libraries) == 0 {
		return "", "", errors.New("the local stack is not installed here: run `just up`")
	}
	return launcher, libraries[len(libraries)-1], nil
}

// freeAddrs are addresses nobody listens on.
func freeAddrs(n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		addrs[i] = listener.Addr().String()
	}
	return addrs, nil
}
