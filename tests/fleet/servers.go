package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clickledger/internal/stacktest"
)

// orderTimeout is how long a server may take to stop or to be ready, or
// programs to be built, set up and ready.
const orderTimeout = 5 * time.Minute

// orderEndTimeout is how long an order that was called off may take to end.
const orderEndTimeout = 30 * time.Second

// StopServer stops one of the local stack's servers, for everybody: for drills
// only, which run alone. At the test's end it runs again in any case.
func StopServer(t testing.TB, name string) {
	t.Helper()
	stacktest.Cleanup(t, "stopped "+name, func(ctx context.Context) error { return order(ctx, "start", name) })
	if err := order(t.Context(), "stop", name); err != nil {
		t.Fatal(err)
	}
}

// StartServer starts a server again and returns when it is ready.
func StartServer(t testing.TB, name string) {
	t.Helper()
	if err := order(t.Context(), "start", name); err != nil {
		t.Fatal(err)
	}
}

// RunPrograms has the local stack run its programs, built from the code as it
// is, with variables in place of its own settings, set up and ready. They take
// the place of those that may run. Among its servers a program has its share of
// the processors as they do; one that is started from elsewhere may wait for
// them longer (Linux's autogroup feature, sched(7)).
func RunPrograms(ctx context.Context, variables map[string]string) error {
	words := []string{"run"}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		words = append(words, "--set", name+"="+variables[name])
	}
	return order(ctx, words...)
}

// StopPrograms has the local stack stop them. `just run` starts its own again.
func StopPrograms(ctx context.Context) error {
	return order(ctx, append([]string{"stop"}, programNames...)...)
}

// programNames are those of the stack that has one of each.
var programNames = []string{"gateway", "ingester", "aggregator"}

// CheckPrograms is an error if one of the stack's programs died since it was
// started, or is not the one that RunPrograms started with variables any more.
func CheckPrograms(ctx context.Context, variables map[string]string) error {
	output, err := stack(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var now struct {
		Services []struct {
			Name     string            `json:"name"`
			PID      int               `json:"pid"`
			Restarts int               `json:"restarts"`
			Set      map[string]string `json:"set"`
		} `json:"services"`
	}
	if err := json.Unmarshal(output, &now); err != nil {
		return fmt.Errorf("read the stack's status: %w", err)
	}
	found := 0
	for _, s := range now.Services {
		if !slices.Contains(programNames, s.Name) {
			continue
		}
		found++
		switch {
		case s.PID == 0 || s.Restarts > 0:
			return fmt.Errorf("%s died: see `just logs %s`", s.Name, s.Name)
		case !maps.Equal(s.Set, variables):
			return fmt.Errorf("%s was started anew by somebody else", s.Name)
		}
	}
	if found != len(programNames) {
		return fmt.Errorf("the stack has %d of the programs %v", found, programNames)
	}
	return nil
}

// order has the local stack's own program do it, as an operator would.
func order(ctx context.Context, words ...string) error {
	_, err := stack(ctx, words...)
	return err
}

// stack is the same and returns what it says. An interrupt at the terminal does
// not reach it, for it may be what puts things right; the end of ctx does, and
// is waited for.
func stack(ctx context.Context, words ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "go", append([]string{"run", "clickledger/deploy/local"}, words...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
	command.WaitDelay = orderEndTimeout
	var output, problems bytes.Buffer
	command.Stdout, command.Stderr = &output, &problems
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(words[:min(len(words), 2)], " "), err, output.Bytes(), problems.Bytes())
	}
	return output.Bytes(), nil
}
