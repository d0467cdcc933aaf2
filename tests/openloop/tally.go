package openloop

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"clickledger/tests/oracle"
)

const (
	minuteLayout = "2006-01-02T15:04"
	// uncertainMinutes is how many minutes, from the one a click was due in, an
	// unanswered click may be counted in.
	uncertainMinutes = 3
)

// minuteCounts is the acknowledged clicks of one minute, by index of the ad.
type minuteCounts struct {
	text string // as the header begins
	ads  []int64
}

func (m minuteCounts) is(clickedAt []byte) bool {
	return len(m.text) > 0 && len(clickedAt) > len(m.text) && string(clickedAt[:len(m.text)]) == m.text
}

// Tally is what the clicks were answered. It belongs to the sender until that
// has ended.
type Tally struct {
	ads      int
	minutes  map[time.Time]minuteCounts
	open     []openClick
	latency  *hdrhistogram.Histogram
	slow     map[int64]int // clicks that took longer than slow, by Unix second
	errors   map[string]int64
	replies  int64
	requests int64
}

// openClick is a click of which it is not known whether it counts.
type openClick struct {
	ad  uint32
	due time.Time
}

// NewTally is empty, for so many ads.
func NewTally(ads int) *Tally {
	return &Tally{ads: ads, minutes: map[time.Time]minuteCounts{}}
}

// minute is the counts of the minute that begins at start.
func (t *Tally) minute(start time.Time) minuteCounts {
	counts, ok := t.minutes[start]
	if !ok {
		counts = minuteCounts{text: start.Format(minuteLayout), ads: make([]int64, t.ads)}
		t.minutes[start] = counts
	}
	return counts
}

func (t *Tally) uncertain(ad uint32, due time.Time) {
	t.open = append(t.open, openClick{ad, due})
}

// add takes what the sender measured.
func (t *Tally) add(s *Sender) {
	t.latency, t.slow = s.latency, s.slow
	t.requests = int64(s.schedule.number)
	t.replies = s.answered
	t.errors = s.errors
}

// Sent is how many clicks were made, answered how ever.
func (t *Tally) Sent() int64 { return t.requests }

// Answered is how many clicks are measured and got an answer of any kind.
func (t *Tally) Answered() int64 { return t.replies }

// Latency is in microseconds, from when a click was due.
func (t *Tally) Latency() *hdrhistogram.Histogram { return t.latency }

// SlowSecond is a second and how many of the clicks that were due in it took
// longer than 25 ms.
type SlowSecond struct {
	At     string `json:"at"` // UTC
	Clicks int    `json:"clicks"`
}

// SlowestSeconds are up to n seconds with slow clicks, those with most first.
func (t *Tally) SlowestSeconds(n int) []SlowSecond {
	seconds := slices.SortedFunc(maps.Keys(t.slow), func(a, b int64) int { return cmp.Or(t.slow[b]-t.slow[a], cmp.Compare(a, b)) })
	out := []SlowSecond{}
	for _, second := range seconds[:min(len(seconds), n)] {
		out = append(out, SlowSecond{time.Unix(second, 0).UTC().Format(time.TimeOnly), t.slow[second]})
	}
	return out
}

// Errors is how many clicks were not recorded, by what happened instead.
func (t *Tally) Errors() map[string]int64 { return t.errors }

// Promise tells the oracle what must be counted. Ads are the ids by index.
func (t *Tally) Promise(ads []int64, promised *oracle.Oracle) {
	for minute, counts := range t.minutes {
		for i, n := range counts.ads {
			if n > 0 {
				promised.AddCount(ads[i], minute, n)
			}
		}
	}
	for _, open := range t.open {
		minutes := make([]time.Time, uncertainMinutes)
		for i := range minutes {
			minutes[i] = open.due.Add(time.Duration(i) * time.Minute)
		}
		promised.Add(ads[open.ad], false, minutes...)
	}
}
