package click

import "time"

// SealHoldMax is how long after its closing a window waits for clicks of it
// that a gateway's journal holds. What comes later is a late click.
const SealHoldMax = 10 * time.Minute

// GatewayState is what a gateway tells of its journal.
type GatewayState struct {
	JournalID string
	Depth     int64  // clicks that the stream does not have yet
	Oldest    Window // the earliest minute of event time among them; of no meaning at depth 0
	Recording bool   // the journal takes clicks
	// Partitions is how many it sends clicks to, or waits for: as it is configured.
	Partitions int32
	At         time.Time
}

// Gone reports whether a gateway has not been heard of for so long that it does
// not run any more.
func (g GatewayState) Gone(now time.Time) bool { return now.Sub(g.At) > heartbeatSlack }

// heartbeatSlack is how much later than it last told a gateway may have
// journalled a click.
const heartbeatSlack = 10 * time.Second

// HeldBack reports whether the seal of w must wait at the given time, because a
// journal may hold clicks of it. closed is when w could be sealed otherwise.
func HeldBack(w Window, closed time.Time, gateways []GatewayState, now time.Time) bool {
	if now.After(closed.Add(SealHoldMax)) {
		return false
	}
	for _, g := range gateways {
		// One that is gone holds nothing of the minutes after it went.
		if g.Depth > 0 && !w.Before(g.Oldest) && !w.Start().After(g.At.Add(heartbeatSlack)) {
			return true
		}
	}
	return false
}
