package secure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clickledger/internal/config"
	"clickledger/internal/stacktest"
	"clickledger/tests/fleet"
	"clickledger/tests/poll"
	"clickledger/tests/report"
)

const (
	readyTimeout  = time.Minute
	readyInterval = 100 * time.Millisecond
	password      = "a-password-that-nobody-may-print"
)

// tool is a program or folder that the local stack has installed.
func tool(t *testing.T, pattern string) string {
	t.Helper()
	root, err := report.Root()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(root, ".local/tools", pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s is not installed (`just up`): %v", pattern, err)
	}
	return found[len(found)-1]
}

// free are addresses that nobody listens on.
func free(t *testing.T, n int) []string {
	t.Helper()
	addrs, err := fleet.FreeAddrs(n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// serve starts a server, which ends with the test; what it said is shown if the
// test fails.
func serve(t *testing.T, environment []string, command ...string) {
	t.Helper()
	said := filepath.Join(t.TempDir(), "said")
	log, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(command[0], command[1:]...)
	server.Env = append(os.Environ(), environment...)
	server.Stdout, server.Stderr, server.Dir = log, log, t.TempDir()
	if err := errors.Join(server.Start(), log.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if text, err := os.ReadFile(said); t.Failed() && err == nil {
			t.Logf("%s said: %s", filepath.Base(command[0]), text[max(0, len(text)-4<<10):])
		}
	})
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// settings are a configuration with changes, by names without their prefix.
func settings(t *testing.T, changes map[string]string) config.Config {
	t.Helper()
	variables := stacktest.Variables(t)
	for name, value := range changes {
		variables[config.Prefix+name] = value
	}
	c, err := config.LoadFrom(variables)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// with is changes over others.
func with(base map[string]string, pairs ...string) map[string]string {
	changed := map[string]string{}
	for name, value := range base {
		changed[name] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		changed[pairs[i]] = pairs[i+1]
	}
	return changed
}

// until waits for a server to answer as it should.
func until(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	if err := poll.Until(t.Context(), readyTimeout, readyInterval, ask); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// refused fails the test unless err says one of the words, and no password.
func refused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: it was not refused", what)
		return
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("%s: the error tells the password", what)
	}
	for _, word := range words {
		if strings.Contains(err.Error(), word) {
			return
		}
	}
	t.Errorf("%s: %v, want one of %s", what, err, fmt.Sprint(words))
}
