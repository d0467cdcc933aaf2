package server

import (
	"encoding/binary"
	"sync"
	"time"

	"clickledger/internal/click"
)

const (
	recentSets = 1 << 17 // power of two
	recentWays = 4       // entries of a set: 24 bytes × 4 × 2¹⁷ = 12 MB, no pointers
	recentLock = 1 << 8  // locks, each over every 256th set
)

// recentClicks remembers impressions that were acknowledged a moment ago, so
// that the common repeat (a double click, a retry, a reload) never reaches
// Kafka. It may forget at any time: it saves work, the ingester judges.
//
// An impression has one set to be in; a new one pushes out its set's oldest.
type recentClicks struct {
	locks [recentLock]sync.Mutex
	sets  [recentSets][recentWays]recentClick
}

type recentClick struct {
	impression click.ImpressionID
	clickedAt  int64 // Unix milliseconds
}

// find is the event time of the first click on an impression, if remembered.
func (r *recentClicks) find(id click.ImpressionID) (time.Time, bool) {
	set := recentSet(id)
	r.locks[set%recentLock].Lock()
	defer r.locks[set%recentLock].Unlock()
	for i := range r.sets[set] {
		if r.sets[set][i].impression == id {
			return time.UnixMilli(r.sets[set][i].clickedAt).UTC(), true
		}
	}
	return time.Time{}, false
}

// add remembers a click that was acknowledged. The first of two that raced
// stays: its time was told.
func (r *recentClicks) add(id click.ImpressionID, clickedAt time.Time) {
	set := recentSet(id)
	r.locks[set%recentLock].Lock()
	defer r.locks[set%recentLock].Unlock()
	entries := &r.sets[set]
	for i := range entries {
		if entries[i].impression == id {
			return
		}
	}
	copy(entries[1:], entries[:recentWays-1])
	entries[0] = recentClick{id, clickedAt.UnixMilli()}
}

// recentSet spreads by the id's random bits.
func recentSet(id click.ImpressionID) uint64 {
	return binary.BigEndian.Uint64(id[8:16]) % recentSets
}
