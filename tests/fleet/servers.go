package fleet

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"testing"
	"time"

	"clickledger/internal/stacktest"
)

// orderTimeout is how long a server may take to stop or to be ready, or
// programs to be built, set up and ready.
const orderTimeout = 5 * time.Minute

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
	return order(ctx, "stop", "gateway", "ingester", "aggregator")
}

// order has the local stack's own program do it, as an operator would.
func order(ctx context.Context, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "go", append([]string{"run", "clickledger/deploy/local"}, words...)...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", words[0], err, output)
	}
	return nil
}
