// Package primaries starts Valkey servers of a test's own, as the primaries of
// one cluster, kills and wipes them, and moves slots between them. The program
// is the local stack's, which `just up` installs. It is imported by tests only.
package primaries

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

const (
	slots         = 16384
	readyTimeout  = 30 * time.Second
	readyInterval = 50 * time.Millisecond
)

// Primaries are running servers. It is not safe for concurrent use.
type Primaries struct {
	password string
	servers  []*server
}

type server struct {
	dir, addr, bus string
	program        string
	password       string
	command        *exec.Cmd
}

// Start starts count primaries that share the slots evenly. They end with the
// test.
func Start(t testing.TB, count int) *Primaries {
	t.Helper()
	variables, err := config.LocalVariables()
	if err != nil {
		t.Fatal(err)
	}
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &Primaries{password: variables[config.Prefix+"VALKEY_PASSWORD"]}
	for range count {
		p.servers = append(p.servers, &server{
			dir: t.TempDir(), addr: freeAddr(t), bus: freeAddr(t), program: program, password: p.password,
		})
	}
	t.Cleanup(func() {
		for i, s := range p.servers {
			s.kill()
			if said, err := os.ReadFile(filepath.Join(s.dir, "log")); t.Failed() && err == nil {
				t.Logf("primary %d said:\n%s", i, said)
			}
		}
	})
	for i, s := range p.servers {
		if err := s.write("nodes.conf", p.nodes(i)); err != nil {
			t.Fatal(err)
		}
		p.start(t, s)
	}
	for _, s := range p.servers {
		p.ready(t, s)
	}
	return p
}

// nodes is the cluster as server self first sees it: the file that each member
// keeps, in the form of CLUSTER NODES, so that nobody has to introduce them.
func (p *Primaries) nodes(self int) string {
	var b strings.Builder
	for i, s := range p.servers {
		flags := "master"
		if i == self {
			flags = "myself,master"
		}
		from, to := i*slots/len(p.servers), (i+1)*slots/len(p.servers)-1
		fmt.Fprintf(&b, "%s %s@%s %s - 0 0 %d connected %d-%d\n", id(i), s.addr, port(s.bus), flags, i+1, from, to)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", len(p.servers))
	return b.String()
}

// id is a server's in the cluster.
func id(i int) string { return fmt.Sprintf("%040x", i+1) }

func (s *server) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600)
}

func (p *Primaries) start(t testing.TB, s *server) {
	t.Helper()
	text := fmt.Sprintf(`bind 127.0.0.1
port %s
cluster-enabled yes
cluster-port %s
cluster-announce-ip 127.0.0.1
cluster-node-timeout 2000
cluster-require-full-coverage no
maxmemory 512mb
maxmemory-policy noeviction
save ""
appendonly no
dir %s
logfile log
requirepass %s
primaryauth %s
`, port(s.addr), port(s.bus), s.dir, p.password, p.password)
	if err := s.write("valkey.conf", text); err != nil {
		t.Fatal(err)
	}
	s.command = exec.Command(s.program, filepath.Join(s.dir, "valkey.conf"))
	if err := s.command.Start(); err != nil {
		t.Fatalf("start valkey: %v", err)
	}
}

func (s *server) kill() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
	s.command = nil
}

// ready waits until a server believes the cluster to be complete.
func (p *Primaries) ready(t testing.TB, s *server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	for {
		err := s.do(ctx, func(client vk.Client) error {
			state, err := client.Do(ctx, client.B().ClusterInfo().Build()).ToString()
			if err == nil && !strings.Contains(state, "cluster_state:ok") {
				err = errors.New("the cluster is not complete")
			}
			return err
		})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("wait for valkey at %s: %v", s.addr, err)
		case <-time.After(readyInterval):
		}
	}
}

// do asks one server, whatever the cluster says.
func (s *server) do(ctx context.Context, ask func(vk.Client) error) error {
	client, err := vk.NewClient(vk.ClientOption{
		InitAddress: []string{s.addr}, Password: s.password, ForceSingleClient: true, DisableCache: true, DisableRetry: true,
	})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.addr, err)
	}
	defer client.Close()
	return ask(client)
}

// Addrs are where the servers listen.
func (p *Primaries) Addrs() []string {
	var addrs []string
	for _, s := range p.servers {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

// Config is that of a namespace of the test's own whose seen index is on these
// servers. The settings name the first only where one is true: the others are
// met on the way.
func (p *Primaries) Config(t testing.TB, one bool) config.Config {
	t.Helper()
	c := stacktest.Config(t)
	c.ValkeySeenAddrs = p.Addrs()
	if one {
		c.ValkeySeenAddrs = c.ValkeySeenAddrs[:1]
	}
	return c
}

// Kill ends a server as a crash would.
func (p *Primaries) Kill(i int) { p.servers[i].kill() }

// Restart starts a killed server again, empty, and waits until it is a member.
func (p *Primaries) Restart(t testing.TB, i int) {
	t.Helper()
	p.start(t, p.servers[i])
	p.ready(t, p.servers[i])
}

// Wipe empties a server.
func (p *Primaries) Wipe(t testing.TB, i int) {
	t.Helper()
	err := p.servers[i].do(t.Context(), func(client vk.Client) error {
		return client.Do(t.Context(), client.B().Flushall().Build()).Error()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// program is the local stack's valkey-server.
func program() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if found, _ := filepath.Glob(filepath.Join(dir, ".local", "tools", "valkey-*", "valkey-server")); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", errors.New("valkey-server is not installed: `just up`")
}
