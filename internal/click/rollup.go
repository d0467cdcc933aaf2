package click

import (
	"slices"
	"time"
)

// Level is how long the periods of a table of figures are.
type Level string

// The levels. Their periods are those of UTC; weeks are ISO weeks.
const (
	PerMinute Level = "minute"
	PerHour   Level = "hour"
	PerDay    Level = "day"
	PerWeek   Level = "week"
	PerMonth  Level = "month"
)

// MinutesPerDay is how many windows a day has.
const MinutesPerDay = int(dayLength / WindowLength)

// Rollup is one step: the figures of To are the sums of those of From.
type Rollup struct{ To, From Level }

// Rollups are the steps in the order in which they are made.
func Rollups() []Rollup {
	return []Rollup{{PerHour, PerMinute}, {PerDay, PerHour}, {PerWeek, PerDay}, {PerMonth, PerDay}}
}

// RollupTo is the step that makes a level.
func RollupTo(level Level) (Rollup, bool) {
	for _, step := range Rollups() {
		if step.To == level {
			return step, true
		}
	}
	return Rollup{}, false
}

// Span is the days that are rolled up together with d at a level: the day
// itself, its ISO week or its month. They are in [first, next).
func (d Day) Span(level Level) (first, next Day) {
	switch level {
	case PerWeek:
		first = d.Add(-((int(d.Start().Weekday()) + 6) % 7)) // its Monday
		return first, first.Add(7)
	case PerMonth:
		year, month, _ := d.Start().Date()
		return DayOf(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)), DayOf(time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC))
	case PerMinute, PerHour, PerDay:
		return d, d.Add(1)
	default:
		return d, d.Add(1)
	}
}

// RollupSpan is a span of days that is rolled up by one step, as one version.
type RollupSpan struct {
	Rollup
	First, Next Day // half-open
	Version     uint64
}

// Rolled is an entry of the ledger of rollups: a span of days was rolled up to
// a level. The figures of it contain every flush that was sealed when Parts was
// read, and perhaps later ones.
type Rolled struct {
	Level Level
	First Day // of the span
	// Version is the home server's clock in microseconds, read after Parts and
	// before anything is aggregated: an attempt with older data loses.
	Version uint64
	// Parts is the sum of the versions of what it was made of: for hours those
	// of the minutes' seals, else those of the entries one level below. Versions
	// only grow, so another sum says that a part has changed since.
	Parts uint64
	// Newest is the newest version of a minute's seal that went in.
	Newest uint64
	Clicks uint64
	Rows   uint64
}

// MinutesOfDay is what the ledger of windows says of one day.
type MinutesOfDay struct {
	Day      Day
	Sealed   int    // windows
	Versions uint64 // the sum over their seals
}

// RollupTally is what a step wrote and what it was made of, counted apart.
type RollupTally struct {
	Ads, Totals         uint64 // clicks of the ads, and of the advertisers' totals, as they are stored now
	FromAds, FromTotals uint64 // the same one level below
	// Sealed is the clicks that the seals of the minutes counted; KnowsSealed
	// says that it was asked for: of hours.
	Sealed      uint64
	KnowsSealed bool
	Rows        uint64 // figures of this version, totals included
}

// Agrees reports whether all ways give the same number of clicks.
func (t RollupTally) Agrees() bool {
	return t.Ads == t.Totals && t.Ads == t.FromAds && t.Totals == t.FromTotals && (!t.KnowsSealed || t.Ads == t.Sealed)
}

// rollupMargin keeps a rollup away from minutes that are about to be dropped: a
// figure summed from half of them would be wrong, silently.
const rollupMargin = 2

// RollableFrom is the earliest day that may be rolled up at now, from minutes
// that are kept so many days. What was rolled up earlier stays.
func RollableFrom(now time.Time, minutesKeptDays int) Day {
	return DayOf(now).Add(rollupMargin - minutesKeptDays)
}

// RollupLedger is the ledger of rollups, or the part of it that a question
// needs.
type RollupLedger struct{ entries map[Level]map[Day]Rolled }

// NewRollupLedger is a ledger of these entries, one of each level and day.
func NewRollupLedger(entries []Rolled) RollupLedger {
	l := RollupLedger{map[Level]map[Day]Rolled{}}
	for _, step := range Rollups() {
		l.entries[step.To] = map[Day]Rolled{}
	}
	for _, e := range entries {
		if of, ok := l.entries[e.Level]; ok {
			of[e.First] = e
		}
	}
	return l
}

// Entry is the entry of the span of a level that begins with first.
func (l RollupLedger) Entry(level Level, first Day) (Rolled, bool) {
	e, ok := l.entries[level][first]
	return e, ok
}

// Parts are the entries that a step of the span of d is made of: none for
// hours, which are made of minutes.
func (l RollupLedger) Parts(step Rollup, d Day) []Rolled {
	var parts []Rolled
	for first, next := d.Span(step.To); first.Before(next); first = first.Add(1) {
		if e, ok := l.Entry(step.From, first); ok {
			parts = append(parts, e)
		}
	}
	return parts
}

// Current reports whether the span of d was rolled up to a level after all that
// it is made of was. Of hours it only says that they were rolled up: whether
// minutes were sealed again since is asked of the ledger of windows.
func (l RollupLedger) Current(level Level, d Day) bool {
	step, ok := RollupTo(level)
	if !ok {
		return false
	}
	first, next := d.Span(level)
	entry, ok := l.Entry(level, first)
	if !ok {
		return false
	}
	if step.From == PerMinute {
		return true
	}
	parts := l.Parts(step, d)
	if entry.Parts != SumVersions(parts) {
		return false
	}
	if level == PerDay {
		return l.Current(PerHour, d)
	}
	for ; first.Before(next); first = first.Add(1) {
		if _, rolled := l.Entry(PerDay, first); rolled && !l.Current(PerDay, first) {
			return false
		}
	}
	return true
}

// SumVersions is what Rolled.Parts is made of entries.
func SumVersions(parts []Rolled) uint64 {
	var sum uint64
	for _, e := range parts {
		sum += e.Version
	}
	return sum
}

// Complete reports whether the span of d can be rolled up to a level: of every
// day in it there is what it is made of. For hours the minutes are asked.
func (l RollupLedger) Complete(step Rollup, d Day) bool {
	first, next := d.Span(step.To)
	return step.From == PerMinute || len(l.Parts(step, d)) == next.Since(first)
}

// DueRollups are the days that are to be rolled up, in order: those whose
// minutes are all sealed and not all in their figures, and one day of each week
// and month that is complete and not made of the newest days.
//
// A minute that was never sealed may be written without a word: it is no
// restatement. So a day is rolled up only when all of its minutes are sealed,
// also those from before the ledger's start, and a day, week or month in which
// the ledger began is read by finer tables, unless the rest is brought back.
func DueRollups(minutes []MinutesOfDay, ledger RollupLedger) []Day {
	var due []Day
	for _, m := range minutes {
		if m.Sealed < MinutesPerDay {
			continue
		}
		hours, ok := ledger.Entry(PerHour, m.Day)
		if !ok || hours.Parts != m.Versions || !ledger.Current(PerDay, m.Day) {
			due = append(due, m.Day)
		}
	}
	// A day that is due makes its week and its month too.
	isDue := func(first, next Day) bool {
		return slices.ContainsFunc(due, func(d Day) bool { return !d.Before(first) && d.Before(next) })
	}
	for _, m := range minutes {
		for _, level := range []Level{PerWeek, PerMonth} {
			step, _ := RollupTo(level)
			first, next := m.Day.Span(level)
			if isDue(first, next) || ledger.Current(level, m.Day) || !ledger.Complete(step, m.Day) {
				continue
			}
			if _, rolled := ledger.Entry(PerDay, m.Day); rolled {
				due = append(due, m.Day)
			}
		}
	}
	slices.SortFunc(due, func(a, b Day) int { return a.Since(b) })
	return due
}
