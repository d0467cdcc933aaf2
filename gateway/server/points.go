package server

import (
	"time"

	v1 "clickledger/proto/gen/clickledger/v1"
)

// pointStarts are the first instants of the points of [from, to): from itself,
// then wherever the clocks of loc begin a new hour, day, week (Monday) or
// month. Where clocks are put forward or back, a point is shorter or longer;
// an hour that is repeated is two points.
func pointStarts(from, to time.Time, g v1.Granularity, loc *time.Location) []time.Time {
	var starts []time.Time
	for at := from; at.Before(to); {
		starts = append(starts, at)
		at = nextPoint(at, g, loc)
	}
	return starts
}

// nextPoint is where the point ends that begins at an instant.
func nextPoint(at time.Time, g v1.Granularity, loc *time.Location) time.Time {
	next := nextStart(at, g, loc)
	if !next.After(at) { // a day a time zone left out: never stand still
		next = at.Add(24 * time.Hour)
	}
	return next
}

// nextStart is the first start of a point after at, in UTC.
func nextStart(at time.Time, g v1.Granularity, loc *time.Location) time.Time {
	local := at.In(loc)
	year, month, day := local.Date()
	switch g {
	case v1.Granularity_GRANULARITY_HOUR:
		return nextHour(local)
	case v1.Granularity_GRANULARITY_DAY:
		return dayStart(year, month, day+1, loc)
	case v1.Granularity_GRANULARITY_WEEK:
		sinceMonday := (int(local.Weekday()) + 6) % 7
		return dayStart(year, month, day+7-sinceMonday, loc)
	case v1.Granularity_GRANULARITY_MONTH:
		return dayStart(year, month+1, 1, loc)
	case v1.Granularity_GRANULARITY_MINUTE, v1.Granularity_GRANULARITY_UNSPECIFIED:
		return at.Add(time.Minute)
	default:
		return at.Add(time.Minute)
	}
}

// nextHour is the next instant at which the local clock shows a full hour.
// Around a change of half an hour that takes more than one step.
func nextHour(local time.Time) time.Time {
	next := local
	for {
		next = next.Add(time.Hour - time.Duration(next.Minute())*time.Minute - time.Duration(next.Second())*time.Second)
		if next.Minute() == 0 && next.Second() == 0 {
			return next.UTC()
		}
	}
}

// dayStart is the first instant of a local day: midnight, but for days on
// which clocks skip it or show it twice. It goes back from noon, which clocks
// leave alone, over every change of clocks of that day.
func dayStart(year int, month time.Month, day int, loc *time.Location) time.Time {
	at := time.Date(year, month, day, 12, 0, 0, 0, loc)
	for {
		midnight := at.Add(-sinceMidnight(at)) // if the clock had not changed
		changed, _ := at.ZoneBounds()
		if changed.IsZero() || changed.Before(midnight) {
			return midnight.UTC()
		}
		eve := changed.Add(-time.Nanosecond).In(loc)
		if eve.Day() != at.Day() {
			return changed.UTC()
		}
		at = eve
	}
}

func sinceMidnight(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}
