package ingest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

// topic is a stream in memory: records by partition, and the group's commits.
type topic struct {
	mu        sync.Mutex
	clicks    map[int32][]click.Placed
	bad       map[click.Position]string // records that cannot be decoded
	committed map[int32]int64
	buried    []click.DeadLetter
	perBatch  int
	drained   func() // called when a member finds nothing more to read
	joins     int
}

// member reads on from the commits there were when it joined.
type member struct {
	*topic
	position map[int32]int64
}

func (s *topic) join(context.Context) (Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joins++
	m := &member{s, map[int32]int64{}}
	for partition, offset := range s.committed {
		m.position[partition] = offset
	}
	return m, nil
}

func (m *member) Gather(ctx context.Context, _ time.Time) (clicks []click.Placed, dead []click.DeadLetter, err error) {
	m.mu.Lock()
	taken := 0
	for _, partition := range []int32{0, 1, 2} {
		for taken < m.perBatch && m.position[partition] < int64(len(m.clicks[partition])) {
			c := m.clicks[partition][m.position[partition]]
			if reason, isBad := m.bad[c.Position]; isBad {
				dead = append(dead, click.DeadLetter{Position: c.Position, Reason: reason})
			} else {
				clicks = append(clicks, c)
			}
			m.position[partition]++
			taken++
		}
	}
	drained := m.drained
	m.mu.Unlock()
	if taken > 0 {
		return clicks, dead, nil
	}
	drained()
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

func (m *member) Bury(_ context.Context, letters []click.DeadLetter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buried = append(m.buried, letters...)
	return nil
}

func (m *member) Commit(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for partition, offset := range m.position {
		m.committed[partition] = offset
	}
	return nil
}

func (m *member) Release() {}
func (m *member) Leave()   {}

func (m *member) Progress(context.Context) ([]click.PartitionProgress, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []click.PartitionProgress
	for partition, records := range m.clicks {
		held = append(held, click.PartitionProgress{Partition: partition, Committed: m.committed[partition], Required: int64(len(records))})
	}
	return held, true, nil
}

// rowKey is what ReplacingMergeTree replaces by.
type rowKey struct {
	minute     click.Window
	impression click.ImpressionID
}

// shelf is a store in memory.
type shelf struct {
	mu       sync.Mutex
	rows     map[rowKey]click.Placed
	filtered map[click.Filtered]bool // and whether its id may be a counted click's
	refuses  map[click.ImpressionID]bool
	inserts  int
	failures int // how many inserts fail first, as if the server was away
	// filteredFaults are what the next inserts of filtered clicks end with.
	filteredFaults []error
	lookedUp       int // clicks
}

func (s *shelf) InsertClicks(_ context.Context, clicks []click.Placed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.failures--
		return click.ErrUnavailable
	}
	for _, c := range clicks {
		if s.refuses[c.Impression] {
			return click.ErrRejected
		}
	}
	s.inserts++
	for _, c := range clicks {
		s.rows[rowKey{click.WindowOf(c.ClickedAt), c.Impression}] = c
	}
	return nil
}

func (s *shelf) StoredAmong(_ context.Context, clicks []click.Placed, _ time.Duration) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookedUp += len(clicks)
	stored := make([]bool, len(clicks))
	for i, c := range clicks {
		for key := range s.rows {
			stored[i] = stored[i] || key.impression == c.Impression
		}
	}
	return stored, nil
}

// InsertFiltered keeps equal entries once, as ReplacingMergeTree does.
func (s *shelf) InsertFiltered(_ context.Context, entries []click.Filtered) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.filteredFaults) > 0 {
		err := s.filteredFaults[0]
		s.filteredFaults = s.filteredFaults[1:]
		if err != nil {
			return err
		}
	}
	for _, entry := range entries {
		key := entry
		key.Arrival = false // no part of the key: what comes last replaces
		s.filtered[key] = entry.Arrival
	}
	return nil
}

// notCounted is what a report says was filtered: without the copies of counted
// clicks.
func (s *shelf) notCounted() map[click.Filtered]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted := map[click.ArrivalID]click.Window{}
	for key, c := range s.rows {
		counted[c.Arrival] = key.minute
	}
	out := map[click.Filtered]bool{}
	for entry, arrival := range s.filtered {
		if minute, ok := counted[entry.ID]; !ok || !arrival || minute != entry.Window {
			out[entry] = true
		}
	}
	return out
}

func (s *shelf) CheckClicks(context.Context) error { return nil }

// memory is a seen index in memory.
type memory struct {
	mu       sync.Mutex
	complete bool
	seen     map[click.ImpressionID]bool
	full     int // how many marks are refused first
}

func (m *memory) Ask(_ context.Context, ids []click.ImpressionID) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.complete {
		return nil, click.ErrSeenNotReady
	}
	seen := make([]bool, len(ids))
	for i, id := range ids {
		seen[i] = m.seen[id]
	}
	return seen, nil
}

func (m *memory) Mark(_ context.Context, ids []click.ImpressionID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full > 0 {
		m.full--
		return click.ErrSeenFull
	}
	for _, id := range ids {
		m.seen[id] = m.Remembers(id, time.Now())
	}
	return nil
}

func (m *memory) Remembers(id click.ImpressionID, now time.Time) bool {
	return click.SeenRemembers(id, validity, now)
}

func (m *memory) Complete(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.complete, nil
}

const validity = 24 * time.Hour

// world is all that outlives an ingester.
type world struct {
	*topic
	*shelf
	*memory
	rebuilds int
}

func newWorld() *world {
	return &world{
		topic: &topic{
			clicks: map[int32][]click.Placed{}, bad: map[click.Position]string{}, committed: map[int32]int64{}, perBatch: 4,
		},
		shelf:  &shelf{rows: map[rowKey]click.Placed{}, filtered: map[click.Filtered]bool{}, refuses: map[click.ImpressionID]bool{}},
		memory: &memory{complete: true, seen: map[click.ImpressionID]bool{}},
	}
}

// click appends a click of an impression to a partition of the stream.
func (w *world) click(partition int32, impression click.ImpressionID, at time.Time) click.Placed {
	return w.deliver(partition, click.Click{
		AdID: 1, AdvertiserID: 1, Impression: impression, ClickedAt: at,
		Arrival: click.NewArrivalID(uint64(partition)+1, uint64(len(w.clicks[partition]))),
	})
}

// deliver appends a click as it is: once more, it is a copy.
func (w *world) deliver(partition int32, c click.Click) click.Placed {
	placed := click.Placed{Click: c, Position: click.Position{Partition: partition, Offset: int64(len(w.clicks[partition]))}}
	w.clicks[partition] = append(w.clicks[partition], placed)
	return placed
}

// rebuild refills the seen index from the store.
func (w *world) rebuild(context.Context) error {
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	w.rebuilds++
	for key := range w.rows {
		w.seen[key.impression] = true
	}
	w.complete = true
	return nil
}

func (w *world) parts() Parts {
	return Parts{
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Validity: validity, BatchInterval: 700 * time.Millisecond,
		Join: w.join, Store: w.shelf, Seen: w.memory, RebuildSeen: w.rebuild,
	}
}

// run runs an ingester of parts until the stream is drained or it ends itself.
func (w *world) run(t *testing.T, parts Parts) error {
	t.Helper()
	ingester, err := New(parts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w.drained = cancel
	err = ingester.Run(ctx)
	if ctx.Err() == context.DeadlineExceeded {
		t.Fatal("the stream was not drained in time")
	}
	return err
}

// check compares what is stored with the first click of every impression, and
// the commits with the ends of the stream.
func (w *world) check(t *testing.T) {
	t.Helper()
	want := map[rowKey]click.Placed{}
	first := map[click.ImpressionID]bool{}
	for partition, clicks := range w.clicks {
		for _, c := range clicks {
			if _, bad := w.bad[c.Position]; !bad && !first[c.Impression] && !w.refuses[c.Impression] {
				first[c.Impression] = true
				want[rowKey{click.WindowOf(c.ClickedAt), c.Impression}] = c
			}
		}
		if w.committed[partition] != int64(len(clicks)) {
			t.Errorf("partition %d is committed to %d of %d", partition, w.committed[partition], len(clicks))
		}
	}
	if len(w.rows) != len(want) {
		t.Errorf("%d rows are stored, want %d", len(w.rows), len(want))
	}
	for key, c := range want {
		if got := w.rows[key]; got != c {
			t.Errorf("stored %+v, want %+v", got, c)
		}
	}
	w.checkFiltered(t, want)
}

// checkFiltered: every click of the stream that is neither counted nor a copy of
// a counted one is told as a duplicate, once.
func (w *world) checkFiltered(t *testing.T, counted map[rowKey]click.Placed) {
	t.Helper()
	copies := map[click.ArrivalID]bool{}
	for _, c := range counted {
		copies[c.Arrival] = true
	}
	want := map[click.Filtered]bool{}
	for _, clicks := range w.clicks {
		for _, c := range clicks {
			if _, bad := w.bad[c.Position]; bad || copies[c.Arrival] || w.refuses[c.Impression] {
				continue
			}
			want[click.Filtered{
				Window: click.WindowOf(c.ClickedAt), AdvertiserID: c.AdvertiserID, AdID: c.AdID,
				Reason: click.Duplicate, Count: 1, ID: c.Arrival,
			}] = true
		}
	}
	if got := w.notCounted(); !maps.Equal(got, want) {
		t.Errorf("%d clicks are told as not counted, want %d", len(got), len(want))
	}
}

func newImpression(t testing.TB, issued time.Time) click.ImpressionID {
	t.Helper()
	id, err := click.NewImpressionID(issued, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// busy is a stream in three partitions with repeats near and far, in the same
// minute and in others, and a record that cannot be decoded.
func busy(t testing.TB) *world {
	t.Helper()
	w := newWorld()
	now := time.Now()
	for partition := range int32(3) {
		var ids []click.ImpressionID
		for n := range 12 {
			ids = append(ids, newImpression(t, now.Add(-time.Duration(n)*time.Minute)))
			w.click(partition, ids[n], now)
			if n%3 == 0 {
				w.click(partition, ids[n], now.Add(time.Second)) // a double click
				w.click(partition, ids[n/2], now.Add(2*time.Minute))
			}
		}
		w.bad[w.click(partition, newImpression(t, now), now).Position] = "unreadable"
		for _, id := range slices.Backward(ids) { // all of them once more, much later
			w.click(partition, id, now.Add(5*time.Minute))
		}
	}
	return w
}
