package click

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// coarser are the levels that are coarser than a level's own.
func coarser(level Level) []Level {
	all := []Level{PerMinute, PerHour, PerDay, PerWeek, PerMonth}
	return all[slices.Index(all, level)+1:]
}

// periodAround is the period of a level that an instant lies in.
func periodAround(level Level, at time.Time) (start, end time.Time) {
	switch level {
	case PerMinute:
		start = at.Truncate(time.Minute)
		return start, start.Add(time.Minute)
	case PerHour:
		start = at.Truncate(time.Hour)
		return start, start.Add(time.Hour)
	default:
		first, next := DayOf(at).Span(level)
		return first.Start(), next.Start()
	}
}

// periods are the starts of a level's periods that lie wholly in [from, to),
// and the end of the last.
func periods(level Level, from, to time.Time) (starts []time.Time, last time.Time) {
	for at := from; at.Before(to); {
		start, end := periodAround(level, at)
		if start.Equal(at) && !end.After(to) {
			starts, last = append(starts, at), end
		}
		at = end
	}
	return starts, last
}

func pointOf(starts []time.Time, at time.Time) int {
	i, found := slices.BinarySearchFunc(starts, at, time.Time.Compare)
	if found {
		return i
	}
	return i - 1
}

// drawPoints are points of all kinds: regular ones with an offset of their own,
// as time zones make them, and such as no clock makes.
func drawPoints(rt *rapid.T, from, to time.Time) []time.Time {
	step := rapid.SampledFrom([]time.Duration{
		0, time.Hour, 23 * time.Hour, 24 * time.Hour, 25 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 61 * time.Minute,
	}).Draw(rt, "step")
	starts := []time.Time{from}
	if step == 0 {
		return starts
	}
	offset := time.Duration(rapid.SampledFrom([]int{0, 0, 15, 30, 45, 330, 60, 7}).Draw(rt, "offset")) * time.Minute
	for at := from.Truncate(24 * time.Hour).Add(offset); at.Before(to); at = at.Add(step) {
		if at.After(from) {
			starts = append(starts, at)
		}
	}
	return starts
}

func drawRange(rt *rapid.T) (from, to time.Time) {
	base := time.Date(2026, 9, 20, 0, 0, 0, 0, time.UTC)
	grain := rapid.SampledFrom([]int{1, 1, 15, 60, 24 * 60}).Draw(rt, "grain")
	minute := func(max int, label string) time.Duration {
		return time.Duration(rapid.IntRange(0, max).Draw(rt, label)/grain*grain) * time.Minute
	}
	from = base.Add(minute(30*24*60, "from"))
	return from, from.Add(minute(80*24*60, "length")).Add(time.Duration(grain) * time.Minute)
}

func TestAPlanCoversTheRangeOnceWithTheCoarsestPeriodsThatFit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from, to := drawRange(rt)
		starts := drawPoints(rt, from, to)
		holes := rapid.IntRange(1, 20).Draw(rt, "holes")
		usable := func(level Level, d Day) bool {
			first, _ := d.Span(level)
			return (int(first.number)*7+len(level)*3)%20 >= holes
		}
		at := from
		for _, p := range PlanRead(from, to, starts, usable) {
			if !p.From.Equal(at) || !p.From.Before(p.To) {
				rt.Fatalf("piece %v begins at %v, want %v", p.Level, p.From, at)
			}
			at = p.To
			whole, end := periods(p.Level, p.From, p.To)
			if !end.Equal(p.To) || !whole[0].Equal(p.From) {
				rt.Fatalf("piece %v from %v to %v is not whole periods", p.Level, p.From, p.To)
			}
			for i, start := range whole {
				last := p.To
				if i+1 < len(whole) {
					last = whole[i+1]
				}
				if pointOf(starts, start) != pointOf(starts, last.Add(-time.Nanosecond)) {
					rt.Fatalf("the %v that begins at %v lies in two points", p.Level, start)
				}
				if p.Level != PerMinute && !usable(p.Level, DayOf(start)) {
					rt.Fatalf("the %v that begins at %v is not usable", p.Level, start)
				}
			}
			for _, level := range coarser(p.Level) {
				if p.Level == PerWeek { // a month among weeks is not looked for: it begins within one
					break
				}
				whole, _ := periods(level, p.From, p.To)
				for _, start := range whole {
					_, last := periodAround(level, start)
					if usable(level, DayOf(start)) && pointOf(starts, start) == pointOf(starts, last.Add(-time.Nanosecond)) {
						rt.Fatalf("the %v that begins at %v is read by the %v", level, start, p.Level)
					}
				}
			}
		}
		if !at.Equal(to) {
			rt.Fatalf("the plan ends at %v, not %v", at, to)
		}
	})
}

func TestMinutesAreReadByTheMinute(t *testing.T) {
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	all := func(Level, Day) bool { return true }
	got := PlanRead(from, from.Add(48*time.Hour), nil, all)
	if len(got) != 1 || got[0] != (Piece{PerMinute, from, from.Add(48 * time.Hour)}) {
		t.Errorf("got %v", got)
	}
	if got := PlanRead(from, from, []time.Time{from}, all); got != nil {
		t.Errorf("an empty range gives %v", got)
	}
}

func TestAPlanInWords(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	all := func(Level, Day) bool { return true }
	from, to := at("2026-10-31T23:20"), at("2026-12-09T01:30")
	var got []string
	for _, p := range PlanRead(from, to, []time.Time{from}, all) {
		got = append(got, fmt.Sprintf("%s %s", p.Level, p.To.Format("01-02T15:04")))
	}
	want := []string{"minute 11-01T00:00", "month 12-01T00:00", "day 12-07T00:00", "day 12-09T00:00", "hour 12-09T01:00", "minute 12-09T01:30"}
	want = slices.Delete(want, 2, 3) // neighbours of one level are one piece
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
