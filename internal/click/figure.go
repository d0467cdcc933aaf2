package click

import "time"

// State says how far a figure can be trusted.
type State string

// The states of a figure. Provisional may still grow; Final was sealed and has
// not changed since; Restated was final once and was corrected afterwards.
const (
	Provisional State = "PROVISIONAL"
	Final       State = "FINAL"
	Restated    State = "RESTATED"
)

// Worst is the state of a range that is made of a and b: provisional if either
// is, else restated if either is, else final.
func Worst(a, b State) State {
	switch {
	case a == Provisional || b == Provisional:
		return Provisional
	case a == Restated || b == Restated:
		return Restated
	default:
		return Final
	}
}

// Count is the clicks of one ad, or with AdID 0 of all ads of an advertiser,
// in one window.
type Count struct {
	AdvertiserID int64
	AdID         int64
	Minute       time.Time
	Clicks       uint64
}
