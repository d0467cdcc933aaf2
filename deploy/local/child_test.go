package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// within waits for a condition; the test fails when it does not come.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("%s: did not happen", what)
		case <-ticker.C:
		}
	}
}

func testChild(t *testing.T, s service) (*child, *bytes.Buffer) {
	t.Helper()
	at := testFolder(t)
	s.name = "thing"
	if s.ready == nil {
		s.ready = func(context.Context, site) error { return nil }
	}
	if s.stopTimeout == 0 {
		s.stopTimeout = 10 * time.Second
	}
	log := new(bytes.Buffer)
	c := newChild(s, at, newSpawner(), slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(c.stop)
	return c, log
}

func script(lines string) func(site) []string {
	return func(site) []string { return []string{"/bin/sh", "-c", lines} }
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAServiceThatDiesIsStartedAgain(t *testing.T) {
	c, _ := testChild(t, service{command: script("exec sleep 600")})
	c.start(nil)
	within(t, "it is ready", func() bool { return c.snapshot().State == ready })
	first := c.snapshot().PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, "another process is ready", func() bool { r := c.snapshot(); return r.State == ready && r.PID != first })
	if got := c.snapshot().Restarts; got != 1 {
		t.Errorf("got %d restarts", got)
	}
	c.stop()
	if r := c.snapshot(); r.State != stopped || r.PID != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestAServiceThatDiesSaysWhy(t *testing.T) {
	c, _ := testChild(t, service{command: script("echo the disk is on fire; exit 3")})
	c.start(nil)
	within(t, "it tried twice", func() bool { return c.snapshot().Restarts >= 2 })
	// While the next one runs there is no problem to name.
	within(t, "it says why", func() bool {
		return strings.Contains(c.snapshot().Problem, "exit status 3: the disk is on fire")
	})
}

func TestAServiceIsNotReadyBeforeItSaysSo(t *testing.T) {
	var isReady atomic.Bool
	c, _ := testChild(t, service{command: script("exec sleep 600"), ready: func(context.Context, site) error {
		if !isReady.Load() {
			return errors.New("still reading its log")
		}
		return nil
	}})
	c.start(nil)
	within(t, "it says why it is not ready", func() bool { return c.snapshot().Problem == "still reading its log" })
	if got := c.snapshot().State; got != starting {
		t.Errorf("got %s", got)
	}
	isReady.Store(true)
	within(t, "it is ready", func() bool { return c.snapshot().State == ready })
}

func TestAServiceThatDoesNotStopIsKilledWithWhatItStarted(t *testing.T) {
	c, _ := testChild(t, service{
		command:     script("trap '' TERM; sleep 600 & echo $! > child; while true; do wait; done"),
		stopTimeout: 100 * time.Millisecond,
	})
	c.start(nil)
	var grandchild int
	within(t, "it has a child of its own", func() bool {
		content, _ := os.ReadFile(filepath.Join(c.at.data("thing"), "child"))
		grandchild, _ = strconv.Atoi(strings.TrimSpace(string(content)))
		return grandchild > 0
	})
	parent := c.snapshot().PID
	c.stop()
	within(t, "both are gone", func() bool { return !alive(parent) && !runs(grandchild) })
}

// runs tells a living process from one that only waits for its parent to notice.
func runs(pid int) bool {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(content), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestStartingTwiceIsHarmless(t *testing.T) {
	c, _ := testChild(t, service{command: script("exec sleep 600")})
	c.start(nil)
	within(t, "it is ready", func() bool { return c.snapshot().State == ready })
	pid := c.snapshot().PID
	c.start(nil)
	if got := c.snapshot(); got.PID != pid || got.State != ready {
		t.Errorf("got %+v", got)
	}
}

func TestSettingsOfAStartHoldUntilTheStop(t *testing.T) {
	var asked atomic.Value // the listen address that readiness was asked at
	c, _ := testChild(t, service{
		command:     script(`echo "$CLICKLEDGER_NAMESPACE $CLICKLEDGER_JOURNAL_PATH $CLICKLEDGER_KAFKA_BROKERS" >> told; exec sleep 600`),
		environment: func(site) []string { return []string{"CLICKLEDGER_JOURNAL_PATH=usual.db"} },
		ready: func(_ context.Context, at site) error {
			asked.Store(at.settings["CLICKLEDGER_GATEWAY_LISTEN"])
			return nil
		},
	})
	known, err := ensureSettings(c.at)
	if err != nil {
		t.Fatal(err)
	}
	usual, err := fingerprint("/bin/sh", known)
	if err != nil {
		t.Fatal(err)
	}
	told := func() string {
		content, _ := os.ReadFile(filepath.Join(c.at.data("thing"), "told"))
		return string(content)
	}
	brokers := known["CLICKLEDGER_KAFKA_BROKERS"]
	other := "bench other.db " + brokers + "\n"

	c.start(settings{"CLICKLEDGER_NAMESPACE": "bench", "CLICKLEDGER_JOURNAL_PATH": "other.db", "CLICKLEDGER_GATEWAY_LISTEN": "there"})
	within(t, "it is ready", func() bool { return c.snapshot().State == ready && told() == other })
	if got := asked.Load(); got != "there" {
		t.Errorf("readiness was asked of the gateway at %v", got)
	}
	if got := c.snapshot(); got.Started == usual || got.Set["CLICKLEDGER_NAMESPACE"] != "bench" {
		t.Errorf("it passes for one with the usual settings: %+v", got)
	}
	if err := syscall.Kill(c.snapshot().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, "the next process is told the same", func() bool { return told() == other+other })

	c.stop()
	c.start(nil)
	within(t, "it is told the usual", func() bool { return told() == other+other+"clickledger usual.db "+brokers+"\n" })
	within(t, "it is ready", func() bool { return c.snapshot().State == ready })
	if got := c.snapshot(); got.Started != usual || len(got.Set) != 0 {
		t.Errorf("got %+v, with the usual settings %s", got, usual)
	}
}

func TestNoLogHoldsASecret(t *testing.T) {
	c, log := testChild(t, service{command: script("exec sleep 600")})
	c.start(nil)
	within(t, "it is ready", func() bool { return c.snapshot().State == ready })
	c.stop()
	known, err := ensureSettings(c.at)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CLICKLEDGER_ADMIN_KEY", "CLICKLEDGER_TOKEN_KEYS", "CLICKLEDGER_CLICKHOUSE_PASSWORD"} {
		if strings.Contains(log.String(), known[name]) {
			t.Errorf("the log holds %s", name)
		}
	}
}
