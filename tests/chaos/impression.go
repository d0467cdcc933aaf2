package main

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// zombieLimit is how long after it was sent a click without an answer may still
// be recorded: a frozen gateway reads it when it goes on.
const zombieLimit = 2 * time.Minute

// impression is one that is clicked until it is acknowledged, and what may be
// counted of it.
type impression struct {
	id    uuid.UUID
	adID  int64
	token string

	mu           sync.Mutex
	first        time.Time // when it was clicked first
	acknowledged time.Time // when a gateway first said that it is recorded
	times        []time.Time
}

// outcome is what one try came to.
type outcome int

const (
	noAnswer   outcome = iota // it may have been recorded all the same, also later
	refused                   // 5xx: it may have been recorded all the same
	declared                  // redirected, said not to be recorded: may be all the same
	recorded                  // acknowledged
	unexpected                // an answer no valid click may get
)

// tried takes note of a try that was sent and ended at the given times. An
// acknowledged one that went out only once counts at clickedAt, no other time.
func (i *impression) tried(o outcome, sent, ended, clickedAt time.Time, sentAgain bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.first.IsZero() || sent.Before(i.first) {
		i.first = sent
	}
	switch o {
	case recorded:
		if i.acknowledged.IsZero() {
			i.acknowledged = ended
		}
		i.times = append(i.times, clickedAt)
		if sentAgain {
			i.times = append(i.times, minutesBetween(sent, sent.Add(zombieLimit))...)
		}
	case noAnswer:
		i.times = append(i.times, minutesBetween(sent, sent.Add(zombieLimit))...)
	case refused, declared, unexpected:
		i.times = append(i.times, minutesBetween(sent, ended)...)
	}
}

// minutesBetween is a time in each minute from one time to another.
func minutesBetween(from, to time.Time) []time.Time {
	times := []time.Time{from}
	for minute := from.Truncate(time.Minute).Add(time.Minute); !minute.After(to); minute = minute.Add(time.Minute) {
		times = append(times, minute)
	}
	return times
}

// settled is whether the impression was acknowledged.
func (i *impression) settled() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.acknowledged.IsZero()
}

// mayCountIn tells whether one of the clicks may have been made in a minute.
func (i *impression) mayCountIn(minute time.Time) bool {
	for _, t := range i.times {
		if t.UTC().Truncate(time.Minute).Equal(minute) {
			return true
		}
	}
	return false
}

// until forgets what might have happened after a time at which no click was
// under way any more.
func (i *impression) until(end time.Time) {
	i.times = slices.DeleteFunc(i.times, end.Before)
}
