package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/journal"
)

// holding is a journal with one click in it.
func holding(t *testing.T) *journal.Journal {
	t.Helper()
	kept, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	if err := kept.Append(t.Context(), click.Routed{Click: click.Click{AdID: 1, ClickedAt: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestAStoppingGatewayWaitsUntilItsJournalIsDrained(t *testing.T) {
	kept := holding(t)
	done := make(chan struct{})
	go func() {
		awaitDrained(time.Minute, kept.Held, slog.New(slog.DiscardHandler))
		close(done)
	}()
	select {
	case <-done:
		t.Fatal("it did not wait for the click in its journal")
	case <-time.After(3 * drainedInterval):
	}
	clicks, err := kept.Oldest(10)
	if err != nil || len(clicks) != 1 {
		t.Fatalf("%d clicks, %v", len(clicks), err)
	}
	if err := kept.Remove(clicks); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits on, with nothing in its journal")
	}
}

func TestAStoppingGatewayWaitsNoLongerThanItWasTold(t *testing.T) {
	kept := holding(t)
	for _, timeout := range []time.Duration{0, 3 * drainedInterval} {
		began := time.Now()
		awaitDrained(timeout, kept.Held, slog.New(slog.DiscardHandler))
		if took := time.Since(began); took < timeout || took > timeout+5*time.Second {
			t.Errorf("told %v, it waited %v", timeout, took)
		}
	}
	if held := kept.Held(); held.Depth != 1 {
		t.Errorf("the journal holds %d clicks", held.Depth)
	}
}
