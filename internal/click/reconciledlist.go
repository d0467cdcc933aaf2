package click

import "time"

// ReconciliationsQuery asks for one page of reconciliations, the newest first.
// What is zero does not restrict it.
type ReconciliationsQuery struct {
	From, To time.Time // those with a minute in [From, To)
	State    ReconciliationState
	After    *ReconciliationKey // the last of the page before
	Limit    int
}

// ReconciliationKey names what a run told, by when it did.
type ReconciliationKey struct {
	At    time.Time
	Run   string
	State ReconciliationState
}

// DiscrepanciesQuery asks for one page of discrepancies, in the order of their
// keys. What is zero does not restrict it.
type DiscrepanciesQuery struct {
	From, To     time.Time // minutes that begin in [From, To), or contain From
	AdvertiserID int64
	AdID         int64
	Run          string
	After        *DiscrepancyKey // the last of the page before
	Limit        int
}

// DiscrepancyKey names what one pass of a run found in one place.
type DiscrepancyKey struct {
	Minute       Window
	AdvertiserID int64
	AdID         int64
	Run          string
	Pass         int
}

// FoundDiscrepancy is a discrepancy, which run found it, before its repair
// (pass 1) or after it (2), and when.
type FoundDiscrepancy struct {
	Discrepancy
	Run  string
	Pass int
	At   time.Time
}

// Key is what the discrepancy is listed by.
func (d *FoundDiscrepancy) Key() DiscrepancyKey {
	return DiscrepancyKey{Minute: d.Minute, AdvertiserID: d.AdvertiserID, AdID: d.AdID, Run: d.Run, Pass: d.Pass}
}
