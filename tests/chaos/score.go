package main

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// strike is a fault that was made, and what happened meanwhile.
type strike struct {
	fault     fault
	begun     time.Time
	ended     time.Time // the harm was taken back
	recovered time.Time // what was hit was ready again and new clicks were stored; zero: not in time
	over      bool
	inFlight  int64 // clicks that were under way at some time of it
	worst     time.Duration
	problem   string // why it could not be made
}

// recovery is how long after its end a fault was felt by what it hit.
func (s *strike) recovery() time.Duration { return s.recovered.Sub(s.ended) }

// touches tells whether a time span overlaps the strike.
func (s *strike) touches(from, to time.Time) bool {
	end := s.recovered
	if end.IsZero() {
		end = to
	}
	return !s.begun.After(to) && !end.Before(from)
}

// score is what was seen so far. It is safe for concurrent use.
type score struct {
	mu       sync.Mutex
	strikes  []*strike
	active   map[*strike]bool
	latency  *hdrhistogram.Histogram // microseconds
	failures map[string]int64
	unkept   int64 // redirects that said they were not recorded
}

func newScore() *score {
	const digits = 3
	return &score{
		active: map[*strike]bool{}, failures: map[string]int64{},
		latency: hdrhistogram.New(1, (2 * patience).Microseconds(), digits),
	}
}

// begin takes note of a fault that is about to be made.
func (s *score) begin(f fault, inFlight int64) *strike {
	s.mu.Lock()
	defer s.mu.Unlock()
	hit := &strike{fault: f, begun: time.Now(), inFlight: inFlight}
	s.strikes = append(s.strikes, hit)
	s.active[hit] = true
	return hit
}

// update changes a strike.
func (s *score) update(hit *strike, change func(*strike)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(hit)
	if hit.over {
		delete(s.active, hit)
	}
}

// redirected takes note of a redirect: it counts for every fault of that time.
func (s *score) redirected(sent, ended time.Time) {
	took := ended.Sub(sent)
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.latency.RecordValue(took.Microseconds())
	for hit := range s.active {
		hit.worst = max(hit.worst, took)
	}
}

// failed takes note of a try that was not redirected.
func (s *score) failed(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[reason]++
}

// declared takes note of a redirect that said it was not recorded.
func (s *score) declared() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unkept++
}

// all is every fault that was made or tried, in order.
func (s *score) all() []strike {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []strike
	for _, hit := range s.strikes {
		all = append(all, *hit)
	}
	return all
}

func (s *score) figures() (latency *hdrhistogram.Histogram, failures map[string]int64, declared int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return hdrhistogram.Import(s.latency.Export()), maps.Clone(s.failures), s.unkept
}

func (s *score) declaredSoFar() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unkept
}
