package main

import (
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

// tally is what the clicks were answered. It belongs to the sender until that
// has ended.
type tally struct {
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

func newTally(ads int) *tally {
	return &tally{ads: ads, minutes: map[time.Time]minuteCounts{}}
}

// minute is the counts of the minute that begins at start.
func (t *tally) minute(start time.Time) minuteCounts {
	counts, ok := t.minutes[start]
	if !ok {
		counts = minuteCounts{text: start.Format(minuteLayout), ads: make([]int64, t.ads)}
		t.minutes[start] = counts
	}
	return counts
}

func (t *tally) uncertain(ad uint32, due time.Time) {
	t.open = append(t.open, openClick{ad, due})
}

// add takes what the sender measured.
func (t *tally) add(s *sender) {
	t.latency, t.slow = s.latency, s.slow
	t.requests = int64(s.schedule.number)
	t.replies = s.answered
	t.errors = s.errors
}

// sent is every click made, answered how ever.
func (t *tally) sent() int64 { return t.requests }

// answered is every click that is measured and got an answer of any kind.
func (t *tally) answered() int64 { return t.replies }

// oracle knows what must be counted: these clicks and the watch's.
func (t *tally) oracle(ads []int64, w *watch) *oracle.Oracle {
	promised := w.promised()
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
	return promised
}
