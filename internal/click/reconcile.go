package click

// SamplesMax is how many impression ids a discrepancy shows of each kind.
const SamplesMax = 5

// LakeTail is clicks that the stream holds and no manifest names yet, written
// as objects for one backfill. They are no part of the lake.
type LakeTail struct {
	TopicID string       `json:"topic_id"`
	Objects []LakeObject `json:"objects"`
	// First and Next bound what was read of each partition: [First, Next).
	First Offsets `json:"first"`
	Next  Offsets `json:"next"`
}

// LakeSnapshot fixes what one reconciliation reads, so that every attempt and
// every step of it reads the same, however much is archived meanwhile.
type LakeSnapshot struct {
	// From and To bound the minutes that are judged: [From, To), at most an hour,
	// never across an hour's border.
	From Window `json:"from"`
	To   Window `json:"to"`

	TopicID string `json:"topic_id"`
	// Through is the last archive window whose manifest is read. Manifests never
	// change, so it stands for all of them. Nil: none is.
	Through *Window `json:"through,omitempty"`
	// Archived is, by partition, the first offset that neither the manifests nor
	// the tail account for. What is stored at or beyond it is not judged.
	Archived Offsets   `json:"archived"`
	Tail     *LakeTail `json:"tail,omitempty"`
	// Lost is how many offsets the stream dropped, in the windows that can hold
	// clicks of the span, before they were archived. What is stored of them is
	// never judged surplus.
	Lost uint64 `json:"lost"`
	// FiguresOnly says that the span's raw clicks are gone from the store, or about
	// to go: lake and figures are compared, and figures are rebuilt from the lake.
	FiguresOnly bool `json:"figures_only,omitempty"`
	// Version is the home server's clock in microseconds, read after everything
	// above: what a repair writes has it.
	Version uint64 `json:"version"`
}

// Span is what a flush of the span from the lake has read.
func (s LakeSnapshot) Span() SpanSnapshot {
	span := SpanSnapshot{TopicID: s.TopicID, Checked: s.Archived, Version: s.Version}
	for w := s.From; w.Before(s.To); w = w.Next() {
		span.Minutes = append(span.Minutes, w)
	}
	return span
}

// MinuteDelta is a minute in which lake and store differ.
type MinuteDelta struct {
	Minute  Window `json:"minute"`
	Lake    uint64 `json:"lake"`    // clicks that count, by the lake
	Store   uint64 `json:"store"`   // clicks stored
	Figures uint64 `json:"figures"` // clicks told: the sum of the ads' minute figures
	Missing uint64 `json:"missing"` // clicks of the lake that are not stored
	Surplus uint64 `json:"surplus"` // clicks stored that the lake does not count
}

// Comparison is what a span looks like from both sides.
type Comparison struct {
	Lake    uint64 `json:"lake"`
	Store   uint64 `json:"store"`
	Figures uint64 `json:"figures"`
	Missing uint64 `json:"missing"`
	Surplus uint64 `json:"surplus"`
	// Places is how many (advertiser, ad, minute) differ in any way. Those that
	// differ in their figure alone are among them: WrongFigures.
	Places       uint64 `json:"places"`
	WrongFigures uint64 `json:"wrong_figures"`
	// Minutes are those that differ, in order.
	Minutes []MinuteDelta `json:"minutes,omitempty"`
	// Uncounted says that nothing of the span is stored or told, and that the
	// lake was not counted: the repair counts what it inserts.
	Uncounted bool `json:"uncounted,omitempty"`
}

// Agrees reports whether nothing differs.
func (c Comparison) Agrees() bool { return c.Places == 0 && !c.Uncounted }

// ToRepair is how many clicks a repair inserts or deletes.
func (c Comparison) ToRepair() uint64 { return c.Missing + c.Surplus }

// Discrepancy is an (advertiser, ad, minute) at which lake and store differ. An
// ad id of 0 is the advertiser's total, which is a figure only.
type Discrepancy struct {
	AdvertiserID, AdID int64
	Minute             Window
	Lake               uint64
	Store              uint64
	Figure             uint64
	Missing            uint64
	Surplus            uint64
	// At most SamplesMax impressions of each kind, as UUIDs' text.
	MissingSamples []string
	SurplusSamples []string
}

// RepairLimit is up to how many clicks are repaired without being asked.
type RepairLimit struct {
	Share  float64 `json:"share"`  // of the lake's clicks in the span, 0 to 1
	Clicks uint64  `json:"clicks"` // whichever of the two is more
}

// DefaultRepairLimit is a thousandth of the clicks, or 10,000 if that is more.
var DefaultRepairLimit = RepairLimit{Share: 0.001, Clicks: 10_000}

// Allows reports whether what c found may be repaired without being asked.
func (l RepairLimit) Allows(c Comparison) bool {
	return c.ToRepair() <= max(l.Clicks, uint64(l.Share*float64(c.Lake)))
}

// ReconciliationState says how a reconciliation ended.
type ReconciliationState string

// The states.
const (
	ReconciledClean    ReconciliationState = "CLEAN"    // nothing differed
	ReconciledRepaired ReconciliationState = "REPAIRED" // what differed was repaired, and nothing differs any more
	ReconciledDiffers  ReconciliationState = "DIFFERS"  // a dry run, or it was not approved, or still differs after the repair
	ReconciledRefused  ReconciliationState = "REFUSED"  // the lake is incomplete: nothing was judged
)

// Reconciliation is the account of one reconciliation of a span.
type Reconciliation struct {
	Run    string              `json:"run"` // the workflow run's id
	From   Window              `json:"from"`
	To     Window              `json:"to"`
	State  ReconciliationState `json:"state"`
	Reason string              `json:"reason"` // in words, why it is not clean or repaired; else ""
	DryRun bool                `json:"dry_run"`

	Before   Comparison   `json:"before"`
	After    *Comparison  `json:"after,omitempty"` // after the repair; absent when there was none
	Inserted uint64       `json:"inserted"`
	Deleted  uint64       `json:"deleted"`
	Restated uint64       `json:"restated"` // figures that had been final and changed
	Snapshot LakeSnapshot `json:"snapshot"`
}
