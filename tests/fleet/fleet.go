// Package fleet runs the four programs, built once, as processes of their own:
// one fleet per namespace, on ports of its own, so that fleets run beside each
// other and beside a demo.
package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"clickledger/internal/config"
	"clickledger/internal/stacktest"
	"clickledger/tests/client"
)

const (
	setupTimeout = 3 * time.Minute
	logTailBytes = 6 << 10
)

// Fleet is a running gateway, ingester and aggregator of one namespace.
type Fleet struct {
	Gateway    *Program
	Ingester   *Program
	Aggregator *Program

	Config config.Config
	URL    string      // of the gateway
	Admin  *client.API // with the admin's key

	bin       string
	variables map[string]string
	logs      string
	more      []*Program // started by the test
}

// Start runs setup for a fresh namespace and the programs from dir bin, and
// returns when all are ready. At the test's end they are stopped, everything
// they kept in the servers is removed, and if the test failed the ends of
// their logs are shown. Overrides are further variables, by their full names.
func Start(t testing.TB, bin string, overrides map[string]string) *Fleet {
	t.Helper()
	variables := stacktest.Variables(t)
	variables[config.Prefix+"JOURNAL_PATH"] = filepath.Join(t.TempDir(), "journal.db")
	maps.Copy(variables, overrides)
	gateway, err := FreeAddrs(4)
	if err != nil {
		t.Fatal(err)
	}
	ops := config.Prefix
	variables[ops+"GATEWAY_LISTEN"] = gateway[0]
	variables[ops+"PUBLIC_URL"] = "http://" + gateway[0]
	variables[ops+"GATEWAY_OPS_LISTEN"] = gateway[1]
	variables[ops+"INGESTER_OPS_LISTEN"] = gateway[2]
	variables[ops+"AGGREGATOR_OPS_LISTEN"] = gateway[3]
	c, err := config.LoadFrom(variables)
	if err != nil {
		t.Fatal(err)
	}
	f := &Fleet{
		Config: c, URL: c.PublicURL, Admin: client.New(c.PublicURL, c.AdminKey),
		bin: bin, variables: variables, logs: t.TempDir(),
	}
	f.Gateway = f.program("gateway", c.GatewayOpsListen)
	f.Ingester = f.program("ingester", c.IngesterOpsListen)
	f.Aggregator = f.program("aggregator", c.AggregatorOpsListen)
	stacktest.Cleanup(t, "namespace "+c.Namespace, func(ctx context.Context) error { return Remove(ctx, c) })
	t.Cleanup(func() { f.end(t) })
	if err := f.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range f.programs() {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range f.programs() {
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *Fleet) programs() []*Program {
	return append([]*Program{f.Gateway, f.Ingester, f.Aggregator}, f.more...)
}

func (f *Fleet) program(name, ops string) *Program {
	return NewProgram(name, filepath.Join(f.bin, name), ops, filepath.Join(f.logs, name+".log"), f.variables)
}

func environment(variables map[string]string) []string {
	environment := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment
}

// Setup runs the one-shot program to its end.
func (f *Fleet) Setup(ctx context.Context) error { return Setup(ctx, f.bin, f.variables) }

// Setup runs setup from dir bin to its end.
func Setup(ctx context.Context, bin string, variables map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(bin, "setup"))
	command.Env = environment(variables)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("run setup: %w\n%s", err, output.Bytes())
	}
	return nil
}

// end stops what runs and, after a failure, shows what the programs said.
func (f *Fleet) end(t testing.TB) {
	for _, p := range f.programs() {
		if err := p.Stop(); err != nil && !errors.Is(err, errNotRunning) {
			t.Errorf("stop %s: %v", p.Name, err)
		}
	}
	if !t.Failed() {
		return
	}
	for _, p := range f.programs() {
		t.Logf("the last of the log of %s:\n%s", p.Name, p.logTail(logTailBytes))
	}
}

// Ports that FreeAddrs chooses from. The system takes those of outgoing
// connections from 32768 on (ip(7), ip_local_port_range): one of these, free now,
// may be such a connection's a moment later, when a program wants it.
const (
	firstFreePort = 20_000
	freePorts     = 12_000
	freePortTries = 1000
)

// FreeAddrs are addresses nobody listens on.
func FreeAddrs(n int) ([]string, error) {
	var addrs []string
	var problem error
	for range freePortTries {
		if len(addrs) == n {
			return addrs, nil
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstFreePort+rand.IntN(freePorts)))
		if err != nil {
			problem = err
			continue
		}
		defer func() { _ = listener.Close() }()
		addrs = append(addrs, listener.Addr().String())
	}
	return nil, fmt.Errorf("find %d free ports: %w", n, problem)
}

// Logs is everything the programs said so far.
func (f *Fleet) Logs() (string, error) {
	var all string
	for _, p := range f.programs() {
		text, err := os.ReadFile(p.logPath)
		if err != nil {
			return "", fmt.Errorf("read log of %s: %w", p.Name, err)
		}
		all += string(text)
	}
	return all, nil
}
