package workflows

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/worker"
)

// historiesDir holds histories recorded from a real server, one file each,
// named after the workflow: FlushWindow-late.json.
const historiesDir = "testdata/histories"

// Recorded with `temporal workflow show --output json`. A change that breaks one of
// them would block the workflows that run while it is deployed.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(historiesDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DisableDeadlockDetection: true}) // by the clock
			if err != nil {
				t.Fatal(err)
			}
			Register(replayer)
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
}

// names collects what Register registers.
type names []string

func (n *names) RegisterWorkflow(workflow any) { *n = append(*n, functionName(workflow)) }

func TestEveryWorkflowHasARecordedHistory(t *testing.T) {
	var registered names
	Register(&registered)
	entries, err := os.ReadDir(historiesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range registered {
		found := false
		for _, entry := range entries {
			found = found || strings.HasPrefix(entry.Name(), name+"-")
		}
		if !found {
			t.Errorf("no history of %s in %s", name, historiesDir)
		}
	}
}
