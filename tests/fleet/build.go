package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Build compiles the four programs into dir.
func Build(dir string) error {
	command := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/",
		"clickledger/gateway", "clickledger/workers/ingester", "clickledger/workers/aggregator", "clickledger/workers/setup")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, output)
	}
	return nil
}

// Main is TestMain of a package whose tests start fleets: it builds the
// programs once, stores their folder, runs the tests and returns the exit code.
func Main(m *testing.M, folder *string) int {
	dir, err := os.MkdirTemp("", "clickledger-programs-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*folder = dir
	return m.Run()
}
