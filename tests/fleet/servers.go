package fleet

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"clickledger/internal/stacktest"
)

// orderTimeout is how long a server may take to stop or to be ready.
const orderTimeout = 3 * time.Minute

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

// order has the local stack's own program do it, as an operator would.
func order(ctx context.Context, what, name string) error {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	if output, err := exec.CommandContext(ctx, "go", "run", "clickledger/deploy/local", what, name).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", what, name, err, output)
	}
	return nil
}
