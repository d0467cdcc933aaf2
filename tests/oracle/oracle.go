// Package oracle remembers what was clicked, as the answers said, and tells
// whether what was counted is exactly that.
//
// An impression counts once, in the minute of one of its clicks: the one with
// the lowest place in the stream. Nearly always all its answers name one
// minute. Where they name two (copies sent at the same instant around the turn
// of a minute), or where a click got no answer at all, what may be counted is a
// range; the sums stay exact.
package oracle

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Oracle is safe for concurrent use. The zero value is ready.
type Oracle struct {
	mu  sync.Mutex
	ads map[int64]*ad
}

type ad struct {
	exact    map[time.Time]int64 // acknowledged, one minute
	loose    []loose
	promised int64 // acknowledged impressions
}

// loose is an impression whose minute, or whose being counted, is not certain.
type loose struct {
	minutes []time.Time
}

// Add tells of one impression all of whose clicks were made: the minutes that
// its clicks may count in, and whether any of them was acknowledged. An
// impression without minutes cannot count and is not remembered.
func (o *Oracle) Add(adID int64, acknowledged bool, times ...time.Time) {
	minutes := minutesOf(times)
	if len(minutes) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ads == nil {
		o.ads = map[int64]*ad{}
	}
	a := o.ads[adID]
	if a == nil {
		a = &ad{exact: map[time.Time]int64{}}
		o.ads[adID] = a
	}
	if acknowledged {
		a.promised++
	}
	if acknowledged && len(minutes) == 1 {
		a.exact[minutes[0]]++
		return
	}
	a.loose = append(a.loose, loose{minutes})
}

// AddCount tells of n acknowledged impressions of one minute at once.
func (o *Oracle) AddCount(adID int64, minute time.Time, n int64) {
	o.Add(adID, true, minute)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ads[adID].exact[minute.Truncate(time.Minute)] += n - 1
	o.ads[adID].promised += n - 1
}

func minutesOf(times []time.Time) []time.Time {
	var minutes []time.Time
	for _, t := range times {
		if minute := t.UTC().Truncate(time.Minute); !slices.Contains(minutes, minute) {
			minutes = append(minutes, minute)
		}
	}
	slices.SortFunc(minutes, time.Time.Compare)
	return minutes
}

// Promised is how many impressions were acknowledged: what must be counted.
func (o *Oracle) Promised() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var sum int64
	for _, a := range o.ads {
		sum += a.promised
	}
	return sum
}

// PerMinute is how many acknowledged impressions there are by minute; those
// with more than one possible minute stand in their first.
func (o *Oracle) PerMinute() map[time.Time]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	sums := map[time.Time]int64{}
	for _, a := range o.ads {
		for minute, n := range a.exact {
			sums[minute] += n
		}
		for _, l := range a.loose {
			sums[l.minutes[0]]++
		}
	}
	return sums
}

// Range is the whole minutes [from, to) that anything may be counted in.
func (o *Oracle) Range() (from, to time.Time) {
	minutes := slices.SortedFunc(maps.Keys(o.PerMinute()), time.Time.Compare)
	if len(minutes) == 0 {
		return time.Time{}, time.Time{}
	}
	// A loose impression may be counted a few minutes after its first.
	last := minutes[len(minutes)-1]
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.ads {
		for _, l := range a.loose {
			if end := l.minutes[len(l.minutes)-1]; end.After(last) {
				last = end
			}
		}
	}
	return minutes[0], last.Add(time.Minute)
}

// Difference is one figure that is not what was clicked. Minute is zero for a
// sum over all minutes of an ad.
type Difference struct {
	AdID    int64
	Minute  time.Time
	AtLeast int64
	AtMost  int64
	Counted int64
}

// String is one line for a person.
func (d Difference) String() string {
	where := "all minutes"
	if !d.Minute.IsZero() {
		where = d.Minute.Format("15:04Z")
	}
	if d.AtLeast == d.AtMost {
		return fmt.Sprintf("ad %d, %s: clicked %d, counted %d", d.AdID, where, d.AtLeast, d.Counted)
	}
	return fmt.Sprintf("ad %d, %s: clicked %d to %d, counted %d", d.AdID, where, d.AtLeast, d.AtMost, d.Counted)
}

// Lost is how many clicks are missing.
func (d Difference) Lost() int64 { return max(0, d.AtLeast-d.Counted) }

// Doubled is how many clicks are counted that should not be.
func (d Difference) Doubled() int64 { return max(0, d.Counted-d.AtMost) }
