package server

import (
	"encoding/binary"
	"sync"
	"time"

	"clickledger/internal/click"
)

const (
	recentSets = 1 << 17 // power of two
	recentWays = 4       // entries of a set: 32 bytes × 4 × 2¹⁷ = 16 MB, no pointers
	recentLock = 1 << 8  // locks, each over every 256th set
	// unackedLife is how long a click that was not acknowledged lends its time to
	// the next try. With the wait for Kafka on top it stays within the lateness
	// that is allowed, so no try reopens a minute that was final.
	unackedLife = 5 * time.Second
)

// recentClicks remembers impressions that were clicked a moment ago. One that
// was acknowledged never reaches Kafka again: the common repeat (a double click,
// a retry, a reload). One that was not yet, or in vain, may land nevertheless
// and be the one that counts: another try of it is dated alike, so that the time
// that is told is the time that counts. It may forget at any time: the ingester
// judges.
//
// An impression has one set to be in; a new one pushes out its set's oldest.
type recentClicks struct {
	locks [recentLock]sync.Mutex
	sets  [recentSets][recentWays]recentClick
}

type recentClick struct {
	impression click.ImpressionID
	clickedAt  int64 // Unix milliseconds
	acked      bool
}

// meet takes note of a click that arrived at the given time. It returns the
// event time of the click and whether that is an earlier click's, acknowledged.
func (r *recentClicks) meet(id click.ImpressionID, arrived time.Time) (clickedAt time.Time, acked bool) {
	set := recentSet(id)
	r.locks[set%recentLock].Lock()
	defer r.locks[set%recentLock].Unlock()
	entry, known := r.entry(set, id)
	age := arrived.Sub(time.UnixMilli(entry.clickedAt)).Abs() // a clock may be put back
	if !known || !entry.acked && age > unackedLife {
		entry.clickedAt = arrived.UnixMilli()
	}
	return time.UnixMilli(entry.clickedAt).UTC(), entry.acked
}

// acked takes note that a click was acknowledged. The first of two that raced
// stays: its time was told.
func (r *recentClicks) acked(id click.ImpressionID, clickedAt time.Time) {
	set := recentSet(id)
	r.locks[set%recentLock].Lock()
	defer r.locks[set%recentLock].Unlock()
	if entry, _ := r.entry(set, id); !entry.acked {
		entry.clickedAt, entry.acked = clickedAt.UnixMilli(), true
	}
}

// entry is the entry of an impression in its set, a new one if it is not known.
func (r *recentClicks) entry(set uint64, id click.ImpressionID) (entry *recentClick, known bool) {
	entries := &r.sets[set]
	for i := range entries {
		if entries[i].impression == id {
			return &entries[i], true
		}
	}
	copy(entries[1:], entries[:recentWays-1])
	entries[0] = recentClick{impression: id}
	return &entries[0], false
}

// recentSet spreads by the id's random bits.
func recentSet(id click.ImpressionID) uint64 {
	return binary.BigEndian.Uint64(id[8:16]) % recentSets
}
