package click

// Filtered is clicks of one ad and window that were redirected but not counted,
// for one reason.
type Filtered struct {
	Window       Window
	AdvertiserID int64
	AdID         int64
	Reason       Verdict // one of Reasons
	Count        uint64
	// ID makes a repeat of the same report count once. For a click that the
	// ingester dropped it is the arrival id. Arrival is true while that may be the
	// id of the counted click: then this is a copy of it and no duplicate.
	ID      ArrivalID
	Arrival bool
}

// Reasons are the verdicts that say why a click was not counted.
func Reasons() []Verdict { return []Verdict{Duplicate, Expired, Paused, Prefetch} }
