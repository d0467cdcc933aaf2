package ingest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
)

const (
	schedulesInMemory = 300
	schedulesOnStores = 30
	// schedulesAtOnce wait for each other's brokers most of the time.
	schedulesAtOnce = 24
	lanesOnStores   = 6
	seedVariable    = "CRASH_SEED" // runs one schedule again
)

// judge compares what is counted with the oracle: each impression once, by the
// click of the lowest offset that can count; each record that cannot is a dead
// letter with its own bytes.
func (s *schedule) judge(ctx context.Context) error {
	winners := map[click.ImpressionID]sentRecord{}
	mayBeDead, mustBeDead := map[click.Position]bool{}, map[click.Position]bool{}
	for _, r := range s.sent { // each partition in its order
		_, won := winners[r.Impression]
		switch {
		case r.value != nil:
			mayBeDead[r.Position], mustBeDead[r.Position] = true, true
		case refused(r.Placed):
			mayBeDead[r.Position] = true
		case !won:
			winners[r.Impression] = r
		}
	}
	for _, r := range s.sent {
		// Once another click of its impression is counted it may be met as a repeat.
		if _, won := winners[r.Impression]; r.value == nil && !won {
			mustBeDead[r.Position] = true
		}
	}
	rows, err := s.grounds.counted(ctx, int64(s.seed)+1)
	if err != nil {
		return err
	}
	counted := map[click.ImpressionID]int{}
	for _, row := range rows {
		counted[row.impression]++
		winner, ok := winners[row.impression]
		switch {
		case !ok:
			s.fault(fmt.Sprintf("impression %s is counted but has no click that counts", row.impression))
		case row.window != click.WindowOf(winner.ClickedAt) || row.position != winner.Position:
			s.fault(fmt.Sprintf("impression %s is counted in %s by %v, want %s by %v",
				row.impression, row.window, row.position, click.WindowOf(winner.ClickedAt), winner.Position))
		}
	}
	for id := range winners {
		if counted[id] != 1 {
			s.fault(fmt.Sprintf("impression %s is counted %d times", id, counted[id]))
		}
	}
	return s.judgeDead(ctx, mayBeDead, mustBeDead)
}

func (s *schedule) judgeDead(ctx context.Context, may, must map[click.Position]bool) error {
	originals, err := s.records(ctx, s.config.ClicksTopic())
	if err != nil {
		return err
	}
	bytes := map[click.Position]string{}
	for _, r := range originals {
		bytes[click.Position{Partition: r.Partition, Offset: r.Offset}] = string(r.Key) + "/" + string(r.Value)
	}
	letters, err := s.records(ctx, s.config.DeadTopic())
	if err != nil {
		return err
	}
	for _, letter := range letters {
		headers := map[string]string{}
		for _, header := range letter.Headers {
			headers[header.Key] = string(header.Value)
		}
		partition, _ := strconv.Atoi(headers["partition"])
		offset, _ := strconv.ParseInt(headers["offset"], 10, 64)
		position := click.Position{Partition: int32(partition), Offset: offset}
		got := string(letter.Key) + "/" + string(letter.Value)
		if !may[position] || got != bytes[position] || headers["reason"] == "" {
			s.fault(fmt.Sprintf("buried %q of %v for %q; it was %q", got, position, headers["reason"], bytes[position]))
		}
		delete(must, position)
	}
	for position, wanted := range must {
		if wanted {
			s.fault(fmt.Sprintf("the record at %v cannot be counted and was not buried", position))
		}
	}
	return nil
}

// records are all of a topic.
func (s *schedule) records(ctx context.Context, topic string) ([]*kgo.Record, error) {
	ends, err := kadm.NewClient(s.raw).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	written := 0
	ends.Each(func(end kadm.ListedOffset) { written += int(end.Offset) })
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.config.KafkaBrokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var records []*kgo.Record
	for len(records) < written {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func inMemory() grounds {
	rows, seen := newTable(), newIndex()
	seen.stored = rows.has
	return grounds{store: rows, seen: seen, counted: rows.counted}
}

// seeds are those to run: n new ones, or the one that is to be run again.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		return []uint64{seed}
	}
	first := uint64(time.Now().UnixNano()) % 1_000_000_000
	all := make([]uint64, n)
	for i := range all {
		all[i] = first + uint64(i)
	}
	return all
}

// runSchedules runs lanes of schedules beside each other, each lane on grounds
// of its own, and returns the mishaps met.
func runSchedules(t *testing.T, seeds []uint64, lanes int, on func(lane int) grounds) map[step]map[mishap]int {
	t.Helper()
	next := make(chan uint64, len(seeds))
	for _, seed := range seeds {
		next <- seed
	}
	close(next)
	met := map[step]map[mishap]int{}
	var mu sync.Mutex
	var running sync.WaitGroup
	for lane := range min(lanes, len(seeds)) {
		running.Go(func() {
			for seed := range next {
				faults, meets, err := runSchedule(t.Context(), seed, on(lane))
				if err != nil {
					faults = append(faults, err.Error())
				}
				if len(faults) > 0 {
					t.Errorf("%s=%d go test -run '^%s$' ./internal/ingest\n\t%s", seedVariable, seed, t.Name(), strings.Join(faults, "\n\t"))
				}
				mu.Lock()
				for s, some := range meets {
					for m, times := range some {
						if met[s] == nil {
							met[s] = map[mishap]int{}
						}
						met[s][m] += times
					}
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return met
}

// Every crash point with every mishap there is, against a real Kafka client and
// stores in memory that keep the stores' contracts.
func TestEveryCrashPointCountsEachImpressionOnce(t *testing.T) {
	all := seeds(t, schedulesInMemory)
	met := runSchedules(t, all, schedulesAtOnce, func(int) grounds { return inMemory() })
	if len(all) < schedulesInMemory {
		return
	}
	for s, possible := range mishaps {
		t.Logf("%s: %v", s, met[s])
		for _, m := range possible {
			if met[s][m] == 0 {
				t.Errorf("no schedule met %q at %s", m, s)
			}
		}
	}
}
