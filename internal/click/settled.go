package click

import "time"

// Settle parts the pieces of a plan: the figures of settled ones are of days that
// were rolled up, and change only after one of those days is told as changed or
// rolled up again; the rest may change at any moment. Pieces of minutes are cut at
// the ends of days. Usable is that of the plan.
func Settle(pieces []Piece, usable Usable) (settled, rest []Piece) {
	for _, p := range pieces {
		if p.Level != PerMinute {
			settled = append(settled, p)
			continue
		}
		for day := DayOf(p.From); day.Start().Before(p.To); day = day.Add(1) {
			cut := Piece{Level: PerMinute, From: later(p.From, day.Start()), To: earlier(p.To, day.Add(1).Start())}
			if usable(PerHour, day) {
				settled = extend(settled, cut)
			} else {
				rest = extend(rest, cut)
			}
		}
	}
	return settled, rest
}

// Versions are those of the entries that settled pieces were rolled up by: as
// long as they are the same and no change of their days is told, so are the
// figures. Of minutes they are those of their days' hours.
func (l RollupLedger) Versions(settled []Piece) []uint64 {
	var versions []uint64
	for _, p := range settled {
		level := p.Level
		if level == PerMinute {
			level = PerHour
		}
		for day := DayOf(p.From); day.Start().Before(p.To); {
			first, next := day.Span(level)
			entry, _ := l.Entry(level, first)
			versions = append(versions, entry.Version)
			day = next
		}
	}
	return versions
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
