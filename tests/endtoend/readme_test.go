package endtoend

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/fleet"
)

// shown is the command of the README that has a word in it, as it is to be run
// against a fleet, in a folder of its own, as an advertiser.
func shown(t *testing.T, f *fleet.Fleet, advertiser *client.Advertiser, word string) *exec.Cmd {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "```") {
		block, ok := strings.CutPrefix(block, "sh\n")
		if !ok || !strings.Contains(block, word) {
			continue
		}
		command := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(block, "http://127.0.0.1:8080", f.URL))
		command.Dir, command.Stderr = t.TempDir(), os.Stderr
		command.Env = append(os.Environ(), "KEY="+advertiser.Key, "ADVERTISER="+strconv.FormatInt(advertiser.ID, 10))
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // curl goes with it
		return command
	}
	t.Fatalf("the README has no command with %s", word)
	return nil
}

// The README's commands for watching with curl and for a CSV file work.
func TestTheCommandsOfTheREADMEWatchAndExport(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", 1)
	if err != nil {
		t.Fatal(err)
	}
	watch := shown(t, f, advertiser, "application/connect+json")
	output, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { _ = syscall.Kill(-watch.Process.Pid, syscall.SIGKILL) } // it ends by itself only when it fails
	timer := time.AfterFunc(toldTimeout, end)
	defer timer.Stop()
	line, err := bufio.NewReader(output).ReadString('\n')
	var answer struct {
		Points   []struct{ Clicks string }
		Snapshot bool
	}
	if err != nil || json.Unmarshal([]byte(line), &answer) != nil || !answer.Snapshot || len(answer.Points) < 15 || answer.Points[0].Clicks != "0" {
		t.Errorf("curl shows %q, %v", line, err)
	}
	end()
	_ = watch.Wait() // it was killed: that is its error

	export := shown(t, f, advertiser, "clicks.csv")
	if err := export.Run(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(export.Dir, "clicks.csv"))
	if err != nil || string(file) != "start_time,ad_id,clicks,filtered,state\n" { // nothing was clicked: no ad has a row
		t.Errorf("exported %q, %v", file, err)
	}
}
