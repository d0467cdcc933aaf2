package ingest

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clickledger/internal/click"
)

// The bubbles' clocks advance only while everything waits, so minutes of outage
// take no time.

func TestBatchThatStallsLeavesTheGroupAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		w.failures = 50 // about 100 seconds of failing tries
		ingester, err := New(w.parts())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.drained = cancel
		if err := ingester.Run(ctx); err != nil {
			t.Fatal(err)
		}
		w.check(t)
		if w.joins != 2 {
			t.Errorf("joined %d times, want 2: others may take over after a minute", w.joins)
		}
	})
}

// Inserts fail for minutes while the store still answers questions: the
// ingester leaves the group and comes back again and again.
func TestReadinessFollowsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		w.failures = 200 // more than four minutes
		ingester, err := New(w.parts())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.drained = func() {}
		ended := make(chan error, 1)
		go func() { ended <- ingester.Run(ctx) }()
		stored := func() bool {
			w.topic.mu.Lock()
			defer w.topic.mu.Unlock()
			return len(w.committed) > 0
		}
		began := time.Now()
		for ; !stored(); time.Sleep(time.Second) {
			if after := time.Since(began); after > 30*time.Second && ingester.Ready(ctx) == nil {
				t.Fatalf("ready after %v without progress", after)
			}
		}
		if after := time.Since(began); after < 4*time.Minute {
			t.Fatalf("the store was away for %v only", after)
		}
		time.Sleep(2 * progressInterval)
		if err := ingester.Ready(ctx); err != nil {
			t.Errorf("not ready again: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w.check(t)
	})
}

func TestStopInAnOutageEndsInTimeAndCommitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		w.failures = 1 << 30
		ingester, err := New(w.parts())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		began := time.Now()
		if err := ingester.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began) - 10*time.Second; took > drainTimeout+time.Second {
			t.Errorf("stopped after %v, want %v at most", took, drainTimeout)
		}
		if len(w.committed) > 0 || len(w.rows) > 0 {
			t.Errorf("committed %v with %d rows stored", w.committed, len(w.rows))
		}
	})
}

func TestOutageIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		w.failures = 10
		var said bytes.Buffer
		parts := w.parts()
		parts.Log = slog.New(slog.NewTextHandler(&said, nil))
		ingester, err := New(parts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.drained = cancel
		if err := ingester.Run(ctx); err != nil {
			t.Fatal(err)
		}
		for _, once := range []string{`level=WARN msg="waiting, the offsets stay" step=insert error=unavailable`, `msg="going on" step=insert`} {
			if n := strings.Count(said.String(), once); n != 1 {
				t.Errorf("said %q %d times in:\n%s", once, n, said.String())
			}
		}
	})
}

func TestStepThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		parts := w.parts()
		parts.Store = &silent{shelf: w.shelf}
		ingester, err := New(parts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.drained = cancel
		began := time.Now()
		if err := ingester.Run(ctx); err != nil {
			t.Fatal(err)
		}
		w.check(t)
		if took := time.Since(began); took < tryTimeout || took > 2*tryTimeout {
			t.Errorf("the silent server cost %v, want about %v", took, tryTimeout)
		}
	})
}

// silent never answers its first insert.
type silent struct {
	*shelf
	asked bool
}

func (s *silent) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	if !s.asked {
		s.asked = true
		<-ctx.Done()
		return ctx.Err()
	}
	return s.shelf.InsertClicks(ctx, clicks)
}

func TestRebuildIsAskedForAgainWhenItDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		w.complete = false
		parts := w.parts()
		asked := 0
		parts.RebuildSeen = func(ctx context.Context) error {
			if asked++; asked < 3 {
				return nil // started, and ended by an operator
			}
			return w.rebuild(ctx)
		}
		ingester, err := New(parts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.drained = cancel
		began := time.Now()
		if err := ingester.Run(ctx); err != nil {
			t.Fatal(err)
		}
		w.check(t)
		if took := time.Since(began); asked != 3 || took < 2*rebuildAskInterval || took > 3*rebuildAskInterval {
			t.Errorf("asked %d times in %v", asked, took)
		}
	})
}
