package click

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// reconcileLagMax is how far reconciliation may be behind before it is an
	// alarm. An hour is reconciled within the hour after it.
	reconcileLagMax = 3 * time.Hour
	// openNamedMax is how many spans an alarm names.
	openNamedMax = 3

	minutesOfHour = 60
)

// HourOf is the first minute of the hour that t falls into. Hours are UTC's.
func HourOf(t time.Time) Window { return WindowOf(t.UTC().Truncate(time.Hour)) }

// HourEnd is the first minute behind the hour that begins with w.
func HourEnd(w Window) Window { return WindowOf(w.Start().Add(time.Hour)) }

// HourText is an hour's name, as in workflow ids: 2026-11-23T10.
func HourText(w Window) string { return w.Start().Format("2006-01-02T15") }

// WithinHour reports whether [from, to) is some minutes of one hour.
func WithinHour(from, to Window) bool {
	return from.Before(to) && !HourEnd(HourOf(from.Start())).Before(to)
}

// ReconciliationPath is where the report of a run is kept in the bucket.
func ReconciliationPath(from Window, run string) string {
	start := from.Start()
	return fmt.Sprintf("reports/reconcile/dt=%s/hour=%s/%s.json", start.Format(time.DateOnly), start.Format("15"), run)
}

// Left is how many (advertiser, ad, minute) differ now: after the repair, if
// there was one.
func (r *Reconciliation) Left() uint64 {
	if r.After != nil {
		return r.After.Places
	}
	return r.Before.Places
}

// ToldReconciliation is a reconciliation and when it was told: of two of a span
// the later one counts.
type ToldReconciliation struct {
	Reconciliation
	At time.Time // microseconds, UTC
}

// ReconciledSpan is what was told last of a span.
type ReconciledSpan struct {
	From, To Window
	State    ReconciliationState
	Reason   string
	Left     uint64    // (advertiser, ad, minute) that differ
	At       time.Time // when it was told
	Through  Window    // the last archive window that was read; the zero Window: none
}

// Done reports whether nothing is left of the span's differences.
func (s ReconciledSpan) Done() bool {
	return (s.State == ReconciledClean || s.State == ReconciledRepaired) && s.Left == 0
}

// Reconciled is how far lake and store were found to agree. Of every minute the
// reconciliation that was told last counts, whatever span it was of: so parts
// of an hour count as the hour when together they cover it.
type Reconciled struct {
	start Window // the ledger's: minutes before it need no reconciliation
	hours map[Window]*[minutesOfHour]*ReconciledSpan
}

// NewReconciled puts spans together, each within an hour, over a ledger that
// starts with start.
func NewReconciled(start Window, spans []ReconciledSpan) Reconciled {
	r := Reconciled{start: start, hours: map[Window]*[minutesOfHour]*ReconciledSpan{}}
	for i := range spans {
		span := &spans[i]
		hour := HourOf(span.From.Start())
		if r.hours[hour] == nil {
			r.hours[hour] = new([minutesOfHour]*ReconciledSpan)
		}
		first, count := span.From.start-hour.start, span.To.start-span.From.start
		for minute := first; minute < min(first+count, minutesOfHour); minute++ {
			if newest := r.hours[hour][minute]; newest == nil || span.At.After(newest.At) {
				r.hours[hour][minute] = span
			}
		}
	}
	return r
}

// Start is the ledger's first window.
func (r Reconciled) Start() Window { return r.start }

// Hours are those that anything was told of, in order.
func (r Reconciled) Hours() []Window {
	return slices.SortedFunc(maps.Keys(r.hours), func(a, b Window) int { return cmp.Compare(a.start, b.start) })
}

// HourVerdict is what is known of an hour.
type HourVerdict struct {
	Whole bool      // every minute that needs it was reconciled
	Done  bool      // Whole, and nothing is left
	Told  time.Time // when the latest of it was told; zero: nothing was
	// Through is the last archive window that all of it has read; the zero
	// Window if a part of it has read none.
	Through Window
}

// Hour is what is known of the hour that begins with w.
func (r Reconciled) Hour(w Window) HourVerdict {
	minutes := r.hours[w]
	if minutes == nil {
		return HourVerdict{}
	}
	v := HourVerdict{Whole: true, Done: true}
	first := true
	for i, span := range minutes {
		if span == nil {
			before := Window{w.start + int64(i)}.Before(r.start) && r.start.Before(HourEnd(w))
			v.Whole = v.Whole && before
			continue
		}
		v.Done = v.Done && span.Done()
		if span.At.After(v.Told) {
			v.Told = span.At
		}
		if first || span.Through.Before(v.Through) {
			v.Through, first = span.Through, false
		}
	}
	v.Done = v.Done && v.Whole
	return v
}

// Through is the end of the contiguous hours, from the ledger's first on, of
// which nothing is left; the zero time while there is none. It moves back when
// an hour is reconciled again and differs.
func (r Reconciled) Through() time.Time {
	first := HourOf(r.start.Start())
	hour := first
	for r.Hour(hour).Done {
		hour = HourEnd(hour)
	}
	if hour == first {
		return time.Time{}
	}
	return hour.Start()
}

// Open are the spans that somebody or something still has to see to, in order:
// what was told last of at least one of their minutes is that it differs or
// could not be judged.
func (r Reconciled) Open() []ReconciledSpan {
	var open []ReconciledSpan
	for _, hour := range r.Hours() {
		var last *ReconciledSpan
		for _, span := range r.hours[hour] {
			if span != nil && span != last && !span.Done() {
				open = append(open, *span)
			}
			last = span
		}
	}
	return open
}

// Alarm is a sentence for an operator who has to act, empty when all is well.
// Without a lake nothing can be reconciled, and being behind is no alarm of its
// own.
func (r Reconciled) Alarm(now time.Time, lake bool) string {
	var sentences []string
	open := r.Open()
	for _, span := range open[:min(len(open), openNamedMax)] {
		sentences = append(sentences, span.sentence())
	}
	if more := len(open) - openNamedMax; more > 0 {
		sentences = append(sentences, fmt.Sprintf("So it is with %d more: see ListReconciliations.", more))
	}
	if lag := now.Sub(later(r.start.Start(), r.Through())); lake && lag > reconcileLagMax {
		sentences = append(sentences, fmt.Sprintf("Lake and store are known to agree only up to %v ago.", lag.Round(time.Minute)))
	}
	return strings.Join(sentences, " ")
}

func (s ReconciledSpan) sentence() string {
	name := "hour " + HourText(s.From)
	if HourEnd(s.From) != s.To {
		name = fmt.Sprintf("%s to %s", s.From, s.To)
	}
	what := "Lake and store differ"
	if s.State == ReconciledRefused {
		what = "The lake is not complete, nothing was judged"
	}
	if s.Reason == "" {
		return fmt.Sprintf("%s in %s.", what, name)
	}
	return fmt.Sprintf("%s in %s: %s.", what, name, strings.TrimSuffix(s.Reason, "."))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
