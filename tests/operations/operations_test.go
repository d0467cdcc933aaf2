package operations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/stacktest/shards"
	"clickledger/tests/fleet"
)

const (
	document = "docs/operations.md" // from the project's folder
	// allTimeout is for all commands together. Nearly all of it is the wait for
	// the end of the minute that a backfill up to now reads.
	allTimeout = 8 * time.Minute
)

// programs is the folder of the built programs, set once before any test.
var programs string

func TestMain(m *testing.M) { os.Exit(fleet.Main(m, &programs)) }

// The commands run in one shell, in the document's order, as a person would
// paste them; the shell stops at the first that fails. Before it the stage is
// set: what the document speaks of has to be there.
func TestTheCommandsOfTheOperatorsPageDoWhatItSays(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := readBlocks(string(text))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	output, err := s.shell(t, root, blocks)
	printed := outputsOf(output)
	for i, b := range blocks {
		if i >= len(printed) {
			break
		}
		if i == len(printed)-1 && err != nil {
			t.Fatalf("%s:%d (%s) failed: %v\n%s\nit printed\n%s", document, b.line, b.heading, err, b.script, printed[i])
		}
		if err := b.check(printed[i]); err != nil {
			t.Errorf("%s:%d (%s): %v", document, b.line, b.heading, err)
		}
	}
	if len(printed) != len(blocks) || err != nil {
		t.Errorf("%d of %d blocks ran, %v", len(printed), len(blocks), err)
	}
}

// mark goes before the output of each block.
const mark = "=== block "

// shell runs the blocks and returns what they printed. A shell that ended early
// is an error; the last block printed is the one that failed.
func (s *stage) shell(t *testing.T, root string, blocks []block) (string, error) {
	t.Helper()
	script := &strings.Builder{}
	script.WriteString("set -eo pipefail\n")
	for i, b := range blocks {
		if b.before != "" {
			fmt.Fprintf(script, "curl -sS --fail-with-body -X POST '%s/before/%s'\n", s.server.URL, strings.ReplaceAll(b.before, " ", "-"))
		}
		fmt.Fprintf(script, "echo; echo '%s%d'\n%s", mark, i, b.script)
	}
	ctx, cancel := context.WithTimeout(t.Context(), allTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-s")
	command.Dir, command.Stdin = root, strings.NewReader(script.String())
	command.WaitDelay = time.Second
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"SETTINGS=" + s.settings, "PROGRAMS=" + programs, "RESTART=" + s.restart, "ANOTHER=" + s.shards.Addrs()[1],
	}
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return output.String(), err
}

var markLine = regexp.MustCompile(`(?m)^` + mark + `\d+\n`)

// outputsOf is what each block printed.
func outputsOf(output string) []string {
	parts := markLine.Split(output, -1)
	return parts[min(1, len(parts)):]
}

// stage is what the commands run against: a fleet of its own, whose settings
// lie in a file as the local stack's do.
type stage struct {
	fleet    *fleet.Fleet
	shards   *shards.Shards // one, and another that is not in its cluster yet
	settings string
	restart  string // a program that restarts another by its name
	server   *httptest.Server
}

func newStage(t *testing.T) *stage {
	t.Helper()
	servers := shards.Start(t, 2, 1)
	s := &stage{shards: servers, fleet: fleet.Start(t, programs, map[string]string{config.Prefix + "CLICKHOUSE_ADDRS": servers.Addrs()[0]})}
	folder := t.TempDir()
	s.settings, s.restart = filepath.Join(folder, "env"), filepath.Join(folder, "restart")
	var lines []string
	for name, value := range s.fleet.Variables() {
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	restart := "#!/bin/sh\nexec curl -sS --fail-with-body -X POST '" + s.server.URL + "/restart/'\"$1\"\n"
	err := errors.Join(
		os.WriteFile(s.settings, []byte(strings.Join(lines, "\n")+"\n"), 0o600),
		os.WriteFile(s.restart, []byte(restart), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	s.set(t)
	return s
}

// ServeHTTP does what the shell cannot: restart a program of the fleet, and what
// the document's comments order.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	program, restart := strings.CutPrefix(r.URL.Path, "/restart/")
	switch {
	case restart:
		var variables map[string]string
		if variables, err = config.ReadEnvFile(s.settings); err == nil {
			err = s.fleet.Restart(r.Context(), program, variables)
		}
	case r.URL.Path == "/before/lose-ClickHouse":
		err = clickhouse.DropDatabase(r.Context(), s.fleet.Config)
	case r.URL.Path == "/before/take-another-ClickHouse-into-the-cluster":
		err = s.shards.SpreadOver(r.Context(), 2)
	default:
		err = errors.New("there is no " + strconv.Quote(r.URL.Path))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
