package click

import (
	"slices"
	"testing"
	"time"
)

func TestSpansAreDaysISOWeeksAndMonths(t *testing.T) {
	for _, c := range []struct{ day, level, first, next string }{
		{"2026-11-22", "hour", "2026-11-22", "2026-11-23"},
		{"2026-11-22", "day", "2026-11-22", "2026-11-23"},
		{"2026-11-22", "week", "2026-11-16", "2026-11-23"}, // a Sunday
		{"2026-11-23", "week", "2026-11-23", "2026-11-30"}, // a Monday
		{"2027-01-01", "week", "2026-12-28", "2027-01-04"}, // week 53 of 2026
		{"2026-11-30", "month", "2026-11-01", "2026-12-01"},
		{"2026-12-31", "month", "2026-12-01", "2027-01-01"},
		{"2028-02-29", "month", "2028-02-01", "2028-03-01"},
	} {
		first, next := day(t, c.day).Span(Level(c.level))
		if first.String() != c.first || next.String() != c.next {
			t.Errorf("%s of %s: %s to %s, want %s to %s", c.level, c.day, first, next, c.first, c.next)
		}
	}
}

// sealed is days whose minutes are all sealed, with a sum of versions each.
func sealed(t *testing.T, first string, versions ...uint64) []MinutesOfDay {
	var days []MinutesOfDay
	for i, v := range versions {
		days = append(days, MinutesOfDay{Day: day(t, first).Add(i), Sealed: 1440, Versions: v})
	}
	return days
}

// rolledDays is entries of hours and days, made of these sums of versions.
func rolledDays(t *testing.T, first string, parts ...uint64) []Rolled {
	var entries []Rolled
	for i, v := range parts {
		d := day(t, first).Add(i)
		entries = append(entries, Rolled{Level: PerHour, First: d, Version: v + 1, Parts: v}, Rolled{Level: PerDay, First: d, Version: v + 2, Parts: v + 1})
	}
	return entries
}

func TestADayIsDueWhenAllItsMinutesAreSealedAndNotAllRolledUp(t *testing.T) {
	incomplete := sealed(t, "2026-11-17", 10)
	incomplete[0].Sealed = 1439
	week := sealed(t, "2026-11-16", 10, 10, 10, 10, 10, 10, 10) // from a Monday on
	weekRolled := func(parts uint64) []Rolled {
		return append(rolledDays(t, "2026-11-16", 10, 10, 10, 10, 10, 10, 10), Rolled{Level: PerWeek, First: day(t, "2026-11-16"), Version: 90, Parts: parts})
	}
	late := slices.Clone(week)
	late[2].Versions++
	behind := weekRolled(7 * 12)
	behind[1].Parts-- // the day of the 16th is made of older hours
	for name, c := range map[string]struct {
		minutes []MinutesOfDay
		entries []Rolled
		want    []string
	}{
		"never rolled up":                         {sealed(t, "2026-11-17", 10, 10), nil, []string{"2026-11-17", "2026-11-18"}},
		"a minute is not sealed":                  {incomplete, nil, nil},
		"rolled up":                               {week, weekRolled(7 * 12), nil},
		"a minute was sealed again":               {late, weekRolled(7 * 12), []string{"2026-11-18"}},
		"the day is made of older hours":          {week, behind, []string{"2026-11-16"}},
		"only hours were rolled up":               {sealed(t, "2026-11-17", 10), rolledDays(t, "2026-11-17", 10)[:1], []string{"2026-11-17"}},
		"the week was not rolled up":              {week, weekRolled(0)[:14], []string{"2026-11-16"}},
		"the week is made of older days":          {week, weekRolled(7*12 - 1), []string{"2026-11-16"}},
		"the week waits for a day that is sealed": {append(slices.Clone(week[:6]), MinutesOfDay{Day: day(t, "2026-11-22"), Sealed: 100}), weekRolled(0)[:12], nil},
		"the ledger began within the week":        {week[2:], rolledDays(t, "2026-11-18", 10, 10, 10, 10, 10), nil},
	} {
		got := []string{}
		for _, d := range DueRollups(c.minutes, NewRollupLedger(c.entries)) {
			got = append(got, d.String())
		}
		if !slices.Equal(got, append([]string{}, c.want...)) {
			t.Errorf("%s: due are %v, want %v", name, got, c.want)
		}
	}
}

func TestAMonthThatIsCompleteIsDue(t *testing.T) {
	versions := slices.Repeat([]uint64{10}, 31)
	minutes := sealed(t, "2026-10-01", versions...)
	entries := rolledDays(t, "2026-10-01", versions...)
	for _, monday := range []string{"2026-10-05", "2026-10-12", "2026-10-19"} { // the weeks at both ends reach beyond
		entries = append(entries, Rolled{Level: PerWeek, First: day(t, monday), Version: 99, Parts: 7 * 12})
	}
	due := DueRollups(minutes, NewRollupLedger(entries))
	if len(due) != 1 || due[0] != day(t, "2026-10-01") {
		t.Errorf("due are %v", due)
	}
	entries = append(entries, Rolled{Level: PerMonth, First: day(t, "2026-10-01"), Version: 99, Parts: 31 * 12})
	if due := DueRollups(minutes, NewRollupLedger(entries)); len(due) != 0 {
		t.Errorf("due are %v", due)
	}
}

func TestATallyAgreesOnlyWhenAllWaysDo(t *testing.T) {
	good := RollupTally{Ads: 5, Totals: 5, FromAds: 5, FromTotals: 5, Sealed: 5, KnowsSealed: true}
	if !good.Agrees() {
		t.Error("a good tally does not agree")
	}
	for i, change := range []func(*RollupTally){
		func(r *RollupTally) { r.Ads++ }, func(r *RollupTally) { r.Totals++ }, func(r *RollupTally) { r.FromAds++ },
		func(r *RollupTally) { r.FromTotals++ }, func(r *RollupTally) { r.Sealed++ },
		func(r *RollupTally) { r.FromAds++; r.Ads++ },
	} {
		bad := good
		change(&bad)
		if bad.Agrees() {
			t.Errorf("tally %d agrees: %+v", i, bad)
		}
	}
}

func TestNothingIsRolledUpFromMinutesThatAreAboutToGo(t *testing.T) {
	at := time.Date(2026, 11, 25, 0, 20, 0, 0, time.UTC)
	if got := RollableFrom(at, 400).Start(); got.Before(at.Add(-399 * 24 * time.Hour)) {
		t.Errorf("days from %s on", got)
	}
}
