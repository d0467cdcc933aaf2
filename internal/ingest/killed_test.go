package ingest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/ingest"
	"clickledger/internal/kafka"
	"clickledger/internal/valkey"
)

const (
	programVariable = "INGEST_TEST_PROGRAM" // set: this binary is an ingester
	lengthVariable  = "INGEST_KILL_SECONDS" // how long ingesters are killed
	seedVariable    = "INGEST_KILL_SEED"
	usualLength     = 20 * time.Second
	clicksPerSecond = 200
	// sessionLength is longer than a member of the group may be silent.
	sessionLength = 12 * time.Second
	stallMax      = 30 * time.Second
)

// TestMain makes the test's binary an ingester when the test starts it so.
func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "" {
		os.Exit(m.Run())
	}
	if err := beIngester(); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func beIngester() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := config.Load()
	if err != nil {
		return err
	}
	s := &servers{config: c}
	if s.store, err = clickhouse.Open(c); err != nil {
		return err
	}
	if s.seen, err = valkey.OpenSeenIndex(c); err != nil {
		return err
	}
	parts := s.parts()
	parts.Log, parts.Registry = slog.Default(), prometheus.NewRegistry()
	parts.Join = func(context.Context) (ingest.Stream, error) {
		return kafka.NewConsumer(c, parts.Log, kafka.UsualMembership(c.IngesterName()))
	}
	ingester, err := ingest.New(parts)
	if err != nil {
		return err
	}
	return ingester.Run(ctx)
}

// victim is an ingester in a process of its own.
type victim struct {
	t       *testing.T
	env     []string
	log     *os.File
	command *exec.Cmd
}

func (v *victim) start() {
	v.t.Helper()
	v.command = exec.Command(os.Args[0])
	v.command.Env, v.command.Stdout, v.command.Stderr = v.env, v.log, v.log
	if err := v.command.Start(); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) end(s syscall.Signal) {
	_ = v.command.Process.Signal(s)
	_ = v.command.Wait()
}

// hurt does what befalls processes, and leaves the ingester running.
func (v *victim) hurt(random *mrand.Rand) string {
	switch random.IntN(4) {
	case 0:
		_ = v.command.Process.Signal(syscall.SIGSTOP)
		time.Sleep(sessionLength)
		_ = v.command.Process.Signal(syscall.SIGCONT)
		return "stopped and woken"
	case 1:
		v.end(syscall.SIGTERM)
		v.start()
		return "told to stop"
	default:
		v.end(syscall.SIGKILL)
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		v.start()
		return "killed"
	}
}

// Two ingesters as processes, on the real servers, are killed, or sleep longer
// than their session, at random moments while clicks and their repeats come in.
func TestTwoIngestersKilledAtRandomLoseAndDoubleNothing(t *testing.T) {
	s := newServers(t)
	length, seed := fromEnvironment(t)
	random := mrand.New(mrand.NewPCG(seed, 0))
	t.Logf("%s=%d %s=%d", seedVariable, seed, lengthVariable, int(length.Seconds()))

	victims := s.victims(t, 2)
	var sending, watching sync.WaitGroup
	var sent map[click.ImpressionID]click.Placed
	over, stopWatching := make(chan struct{}), make(chan struct{})
	var stall time.Duration
	sending.Go(func() { sent = s.send(t, mrand.New(mrand.NewPCG(seed, 1)), over) })
	watching.Go(func() { stall = s.longestStall(stopWatching) })

	hurt := map[string]int{}
	for end := time.Now().Add(length); time.Now().Before(end); {
		time.Sleep(time.Duration(1000+random.IntN(4000)) * time.Millisecond)
		hurt[victims[random.IntN(len(victims))].hurt(random)]++
	}
	close(over)
	sending.Wait()
	s.committed(t)
	close(stopWatching)
	watching.Wait()
	for _, v := range victims {
		v.end(syscall.SIGTERM)
	}
	t.Logf("%d impressions, %v, longest stall %v", len(sent), hurt, stall.Round(100*time.Millisecond))
	if stall > stallMax {
		t.Errorf("stalled for %v, want %v at most", stall, stallMax)
	}
	s.wantExactly(t, sent)
}

func fromEnvironment(t *testing.T) (length time.Duration, seed uint64) {
	t.Helper()
	length, seed = usualLength, uint64(time.Now().UnixNano())%1_000_000
	if text := os.Getenv(lengthVariable); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		length = time.Duration(seconds) * time.Second
	}
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return length, seed
}

// victims are started ingesters of the servers' namespace.
func (s *servers) victims(t *testing.T, n int) []*victim {
	t.Helper()
	env := []string{programVariable + "=1"}
	for name, value := range s.variables {
		env = append(env, name+"="+value)
	}
	victims := make([]*victim, n)
	for i := range victims {
		log, err := os.CreateTemp(t.TempDir(), "ingester")
		if err != nil {
			t.Fatal(err)
		}
		// The port tells ingesters of one machine apart.
		own := fmt.Sprintf("%sINGESTER_OPS_LISTEN=127.0.0.1:%d", config.Prefix, i+1)
		v := &victim{t: t, env: append(slices.Clone(env), own), log: log}
		v.start()
		t.Cleanup(func() {
			v.end(syscall.SIGKILL)
			if said, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
				t.Logf("ingester %d said:\n%s", i, said)
			}
		})
		victims[i] = v
	}
	return victims
}

// send sends clicks until over, a third of them repeats at another minute of an
// earlier impression, and returns the first click of each.
func (s *servers) send(t *testing.T, random *mrand.Rand, over <-chan struct{}) map[click.ImpressionID]click.Placed {
	first := map[click.ImpressionID]click.Placed{}
	var all []click.Click
	ticker := time.NewTicker(time.Second / clicksPerSecond)
	defer ticker.Stop()
	for n := uint64(0); ; n++ {
		select {
		case <-over:
			return first
		case <-ticker.C:
		}
		c := click.Click{AdvertiserID: 5, ClickedAt: time.Now().UTC().Truncate(time.Millisecond), Arrival: click.NewArrivalID(1, n)}
		if len(all) > 0 && random.IntN(3) == 0 {
			earlier := all[random.IntN(len(all))]
			c.AdID, c.Impression = earlier.AdID, earlier.Impression
			c.ClickedAt = c.ClickedAt.Add(time.Duration(random.IntN(10)-5) * time.Minute)
		} else {
			id, err := click.NewImpressionID(c.ClickedAt, rand.Reader)
			if err != nil {
				t.Error(err)
				return first
			}
			c.AdID, c.Impression = int64(random.IntN(7))+1, id
			all = append(all, c)
		}
		position, _, err := s.producer.Produce(t.Context(), click.Routed{Click: c, FanOut: 1})
		if err != nil {
			t.Errorf("send: %v", err)
			return first
		}
		if _, met := first[c.Impression]; !met {
			first[c.Impression] = click.Placed{Click: c, Position: position}
		}
	}
}

// longestStall is how long at most nothing was committed while there was
// something to commit.
func (s *servers) longestStall(stop <-chan struct{}) (longest time.Duration) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	last, moved := int64(-1), time.Now()
	for {
		select {
		case <-stop:
			return longest
		case <-ticker.C:
		}
		lags, err := s.admin.Lag(context.Background())
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
		longest = max(longest, time.Since(moved))
	}
}

// wantExactly compares what is counted with the first click of each impression.
func (s *servers) wantExactly(t *testing.T, want map[click.ImpressionID]click.Placed) {
	t.Helper()
	rows, err := s.rows.Query(t.Context(), "SELECT impression_id, minute, partition, offset FROM clicks FINAL")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var wrong []string
	counted := map[click.ImpressionID]bool{}
	for rows.Next() {
		var id uuid.UUID
		var minute time.Time
		var at click.Position
		if err := rows.Scan(&id, &minute, &at.Partition, &at.Offset); err != nil {
			t.Fatal(err)
		}
		first := want[click.ImpressionID(id)]
		if counted[click.ImpressionID(id)] || first.Position != at || click.WindowOf(first.ClickedAt) != click.WindowOf(minute) {
			wrong = append(wrong, fmt.Sprintf("%s is counted in %v by %v, its first click is %+v", id, minute, at, first))
		}
		counted[click.ImpressionID(id)] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(wrong) > 0 || len(counted) != len(want) {
		t.Errorf("%d impressions of %d are counted, %d wrongly:\n%s", len(counted), len(want), len(wrong), strings.Join(wrong, "\n"))
	}
}
