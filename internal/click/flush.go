package click

import (
	"fmt"
	"time"
)

// RawRetention is how long raw clicks are kept in the store, by their minute.
const RawRetention = 35 * 24 * time.Hour

// flushMargin keeps a flush away from rows that are about to be dropped: a
// figure computed from half of them would be wrong, silently.
const flushMargin = 24 * time.Hour

// FlushableFrom is the earliest window that may be flushed from raw clicks at
// now. An older one is rebuilt from the lake.
func FlushableFrom(now time.Time) Window {
	return WindowOf(now.Add(flushMargin - RawRetention)).Next()
}

// FlushReason says why a window is flushed.
type FlushReason string

// The reasons of a flush.
const (
	FirstFlush  FlushReason = "first"  // the window was never sealed
	LateFlush   FlushReason = "late"   // it was sealed, then late clicks came
	RepairFlush FlushReason = "repair" // somebody, or a reconciliation, asked for it
	// BackfillFlush: its clicks were brought back from the lake.
	BackfillFlush FlushReason = "backfill"
)

// Due is a window that is to be flushed. Late is the number of clicks at or
// beyond the offsets checked when it was sealed; 0 for a first flush.
type Due struct {
	Window Window
	Reason FlushReason
	Late   uint64
}

// Summary is the reason in one line: "first", "late +312" or "repair".
func (d Due) Summary() string {
	if d.Reason == LateFlush {
		return fmt.Sprintf("late +%d", d.Late)
	}
	return string(d.Reason)
}

// Snapshot fixes what one flush reads: the stored clicks of Window whose offset
// is below Checked in their partition, however many arrive meanwhile.
type Snapshot struct {
	Window  Window
	TopicID string
	// Checked is the ingester's committed offset per partition, read first.
	Checked Offsets
	// Version is the home server's clock in microseconds, read after Checked and
	// before anything is aggregated: an attempt with older data loses.
	Version uint64
}

// SpanSnapshot is the snapshot of several minutes, in order: what holds for one
// holds for each.
type SpanSnapshot struct {
	Minutes []Window
	TopicID string
	Checked Offsets
	Version uint64
}

// Of is the snapshot of one of the minutes.
func (s SpanSnapshot) Of(w Window) Snapshot { return Snapshot{w, s.TopicID, s.Checked, s.Version} }

// Span is the snapshot as one of several minutes.
func (s Snapshot) Span() SpanSnapshot {
	return SpanSnapshot{[]Window{s.Window}, s.TopicID, s.Checked, s.Version}
}

// Seal is a window's entry in the ledger.
type Seal struct {
	Snapshot
	Clicks uint64 // distinct impressions
	Rows   uint64 // figures written, totals included
	Reason string
}

// Tally is what a flush wrote, counted three ways.
type Tally struct {
	Ads      uint64 // sum over the ads' figures
	Totals   uint64 // sum over the advertisers' totals
	Distinct uint64 // distinct impressions of the snapshot
	Rows     uint64 // figures written, totals included
}

// Agrees reports whether all three ways give the same number of clicks.
func (t Tally) Agrees() bool { return t.Ads == t.Distinct && t.Totals == t.Distinct }
