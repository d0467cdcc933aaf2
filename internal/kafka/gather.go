package kafka

import (
	"sync"
	"time"
)

// The client library lingers with each partition by itself. It is left one part
// in handOverParts of the linger, at most handOverMax: what it is given within
// that leaves in one request to each broker.
const (
	handOverParts = 10
	handOverMax   = 2 * time.Millisecond
)

// handOver is how long the client library lingers with what it is given at once, of
// a linger that clicks have in all.
func handOver(linger time.Duration) time.Duration { return min(linger/handOverParts, handOverMax) }

// gatherer keeps clicks until the clock comes to a multiple of keep, and then gives
// them to the client library all at once: in each such time, one request to each
// broker. Left to itself the library sends 1.4 times as many (DESIGN, 2026-11-30,
// "Gateways gather clicks").
//
// Multiples, because gateways then send at the same moments, as far as their clocks
// agree: a follower fetches in one go what several of them sent.
type gatherer struct {
	keep time.Duration
	give func(*delivery)

	// giving is held from when clicks are taken until they are given, so that
	// those of a later time do not overtake them.
	giving sync.Mutex
	mu     sync.Mutex
	kept   []*delivery
	ended  bool // nothing is kept any more
}

// add keeps a click, or gives it at once when nothing is to be kept.
func (g *gatherer) add(d *delivery) {
	switch {
	case g.keep <= 0:
		g.give(d)
	case !g.keeps(d):
		g.giving.Lock()
		defer g.giving.Unlock()
		g.give(d)
	}
}

// keeps reports whether it keeps a click: not any more after the end.
func (g *gatherer) keeps(d *delivery) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return false
	}
	g.kept = append(g.kept, d)
	if len(g.kept) == 1 {
		time.AfterFunc(untilMultiple(time.Now(), g.keep), func() { g.giveAll(false) })
	}
	return true
}

// giveAll gives what is kept, in the order it was added; the last time, nothing is
// kept from then on.
func (g *gatherer) giveAll(last bool) {
	g.giving.Lock()
	defer g.giving.Unlock()
	g.mu.Lock()
	given := g.kept
	g.kept = make([]*delivery, 0, len(given)) // as many come next
	g.ended = g.ended || last
	g.mu.Unlock()
	for _, d := range given {
		g.give(d)
	}
}

// untilMultiple is the time from now until the next multiple of keep, counted
// from 1970: more than none, at most keep.
func untilMultiple(now time.Time, keep time.Duration) time.Duration {
	return keep - time.Duration(now.UnixNano())%keep
}
