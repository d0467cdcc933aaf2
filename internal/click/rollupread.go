package click

import "time"

// Piece is a range of event time, half-open, that is read from the table of one
// level: whole periods of it.
type Piece struct {
	Level    Level
	From, To time.Time
}

// Usable says whether the figures of a level may be read of the span that d
// lies in: they are there and are what the minutes say.
type Usable func(level Level, d Day) bool

// PlanRead covers [from, to) with pieces, each read from the coarsest table that
// gives the exact answer: its periods lie in one point each, and are usable.
// Points begin at starts, ascending, the first not after from; with none every
// minute is a point. What no coarser table has is read by the minute, so the
// figures are the same whatever is usable.
func PlanRead(from, to time.Time, starts []time.Time, usable Usable) []Piece {
	if !from.Before(to) {
		return nil
	}
	if len(starts) == 0 {
		return []Piece{{PerMinute, from, to}}
	}
	var pieces []Piece
	next := 0 // the first start after at
	for at := from; at.Before(to); {
		for next < len(starts) && !starts[next].After(at) {
			next++
		}
		bound := to
		if next < len(starts) && starts[next].Before(bound) {
			bound = starts[next]
		}
		level, end := coarsest(at, bound, usable)
		pieces = extend(pieces, Piece{level, at, end})
		at = end
	}
	return pieces
}

// extend adds a piece, to the last one if it goes on there.
func extend(pieces []Piece, p Piece) []Piece {
	if last := len(pieces) - 1; last >= 0 && pieces[last].Level == p.Level && pieces[last].To.Equal(p.From) {
		pieces[last].To = p.To
		return pieces
	}
	return append(pieces, p)
}

// coarsest is the level whose period begins at an instant, ends by bound and is
// usable, and that end; or minutes up to the end of the hour.
func coarsest(at, bound time.Time, usable Usable) (Level, time.Time) {
	day := DayOf(at)
	if at.Equal(day.Start()) {
		for _, level := range []Level{PerMonth, PerWeek, PerDay} {
			first, next := day.Span(level)
			if first == day && !next.Start().After(bound) && usable(level, day) {
				return level, next.Start()
			}
		}
	}
	hour := at.Truncate(time.Hour).Add(time.Hour)
	if hour.After(bound) {
		return PerMinute, bound
	}
	if hour.Sub(at) == time.Hour && usable(PerHour, day) {
		return PerHour, hour
	}
	return PerMinute, hour
}

// Usable is what of the ledger may be read, for figures of which these days had
// a minute changed after it was rolled up.
func (l RollupLedger) Usable(changed map[Day]bool) Usable {
	return func(level Level, d Day) bool {
		if !l.Current(level, d) {
			return false
		}
		for first, next := d.Span(level); first.Before(next); first = first.Add(1) {
			if changed[first] {
				return false
			}
		}
		return true
	}
}
