//go:build drill

package drills

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"clickledger/internal/kafka"
	"clickledger/tests/fleet"
	"clickledger/tests/poll"
)

const (
	// minutesVariable is for how many minutes ingesters are killed.
	minutesVariable = "DRILL_MINUTES"
	seedVariable    = "DRILL_SEED"
	// sessionLength is longer than a member of the group may be silent.
	sessionLength = 12 * time.Second
	stallMax      = 30 * time.Second
	stallInterval = 200 * time.Millisecond
)

// Two ingesters share the stream; one of them is killed, told to stop or
// put to sleep at a random moment and started again, over and over. It stops no server.
func TestTwoIngestersKilledAtRandom(t *testing.T) {
	minutes := fromEnvironment(t, minutesVariable, 1)
	seed := fromEnvironment(t, seedVariable, time.Now().Unix())
	t.Logf("%s=%d %s=%d", minutesVariable, minutes, seedVariable, seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	length := time.Duration(minutes) * time.Minute

	d := begin(t, length)
	ingesters := []*fleet.Program{d.fleet.Ingester, d.fleet.AnotherIngester(t)}
	stalled := d.watchStalls(t)
	hits := 0
	for end := time.Now().Add(length); time.Now().Before(end); hits++ {
		poll.Pause(t.Context(), time.Duration(1000+random.IntN(9000))*time.Millisecond)
		hitIngester(t, ingesters[random.IntN(len(ingesters))], random)
	}
	d.end(t)
	longest := stalled()
	t.Logf("ingesters were hit %d times, the longest stall was %v", hits, longest.Round(stallInterval))
	if longest > stallMax {
		t.Errorf("nothing was committed for %v, want %v at most", longest, stallMax)
	}
}

// hitIngester kills a program, stops it as an operator would, or has it sleep
// longer than its session and wake up; in the end it runs.
func hitIngester(t *testing.T, victim *fleet.Program, random *rand.Rand) {
	t.Helper()
	hit := victim.Kill
	switch random.IntN(4) {
	case 0:
		pid := victim.PID()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		poll.Pause(t.Context(), sessionLength)
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		return
	case 1:
		hit = victim.Stop
	}
	if err := hit(); err != nil {
		t.Error(err)
	}
	poll.Pause(t.Context(), time.Duration(random.IntN(3000))*time.Millisecond)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
}

func fromEnvironment(t *testing.T, name string, usual int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// watchStalls measures until the returned function is called, which tells how
// long at most nothing was committed while there was something to commit.
func (d *drill) watchStalls(t *testing.T) (longest func() time.Duration) {
	t.Helper()
	admin, err := kafka.NewAdmin(d.fleet.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	var worst time.Duration
	watching.Go(func() {
		defer admin.Close()
		last, moved := int64(-1), time.Now()
		for ; ctx.Err() == nil; poll.Pause(ctx, stallInterval) {
			lags, err := admin.Lag(ctx)
			if err != nil {
				continue
			}
			committed, behind := int64(0), int64(0)
			for _, lag := range lags {
				committed, behind = committed+lag.Committed, behind+lag.End-lag.Committed
			}
			if committed != last || behind == 0 {
				last, moved = committed, time.Now()
			}
			worst = max(worst, time.Since(moved))
		}
	})
	return func() time.Duration {
		stop()
		watching.Wait()
		return worst
	}
}
