package server

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	v1 "clickledger/proto/gen/clickledger/v1"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := location(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.UTC()
}

func TestPointsBeginAsLocalClocksSay(t *testing.T) {
	for name, c := range map[string]struct {
		zone        string
		granularity v1.Granularity
		from, to    string
		want        []string
	}{
		"minutes": {"", v1.Granularity_GRANULARITY_MINUTE, "2026-11-23T10:00:00Z", "2026-11-23T10:02:00Z",
			[]string{"2026-11-23T10:00:00Z", "2026-11-23T10:01:00Z"}},
		"partial first and last hour": {"", v1.Granularity_GRANULARITY_HOUR, "2026-11-23T10:20:00Z", "2026-11-23T12:01:00Z",
			[]string{"2026-11-23T10:20:00Z", "2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z"}},
		"hours of a zone of three quarters": {"Asia/Kathmandu", v1.Granularity_GRANULARITY_HOUR, "2026-11-23T10:00:00Z", "2026-11-23T11:30:00Z",
			[]string{"2026-11-23T10:00:00Z", "2026-11-23T10:15:00Z", "2026-11-23T11:15:00Z"}},
		"a repeated hour is two": {"Europe/Berlin", v1.Granularity_GRANULARITY_HOUR, "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		"the day clocks go back has 25 hours": {"Europe/Berlin", v1.Granularity_GRANULARITY_DAY, "2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z",
			[]string{"2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}},
		"the day clocks go forward has 23 hours": {"America/New_York", v1.Granularity_GRANULARITY_DAY, "2026-03-08T05:00:00Z", "2026-03-09T05:00:00Z",
			[]string{"2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"}},
		"a day without midnight": {"Africa/Cairo", v1.Granularity_GRANULARITY_DAY, "2026-04-23T12:00:00Z", "2026-04-24T22:00:00Z",
			[]string{"2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"}},
		"a day with two midnights": {"America/Havana", v1.Granularity_GRANULARITY_DAY, "2026-10-31T12:00:00Z", "2026-11-02T06:00:00Z",
			[]string{"2026-10-31T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}},
		"weeks begin on Monday": {"", v1.Granularity_GRANULARITY_WEEK, "2026-11-22T00:00:00Z", "2026-12-01T00:00:00Z",
			[]string{"2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"}},
		"months over a year's end": {"Asia/Kolkata", v1.Granularity_GRANULARITY_MONTH, "2026-11-30T18:30:00Z", "2027-02-01T00:00:00Z",
			[]string{"2026-11-30T18:30:00Z", "2026-12-31T18:30:00Z", "2027-01-31T18:30:00Z"}},
	} {
		got := pointStarts(at(t, c.from), at(t, c.to), c.granularity, zone(t, c.zone))
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
			continue
		}
		for i, want := range c.want {
			if !got[i].Equal(at(t, want)) {
				t.Errorf("%s: point %d begins at %v, want %s", name, i, got[i], want)
			}
		}
	}
}

// Minute by minute: a new day begins where the local date changes, and nowhere else.
func TestDaysAreWhatTheLocalDateSays(t *testing.T) {
	zones := []string{
		"Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe",
		"America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "America/Santiago", "Africa/Casablanca", "America/Nuuk",
	}
	rapid.Check(t, func(rt *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 3*366*24*60).Draw(rt, "minute")) * time.Minute)
		to := from.Add(80 * time.Hour)
		var want []time.Time
		last := -1
		for m := from; m.Before(to); m = m.Add(time.Minute) {
			// A date that comes back for an hour (clocks back over midnight) is no new day.
			if day := m.In(loc).YearDay() + 1000*m.In(loc).Year(); day > last {
				want, last = append(want, m), day
			}
		}
		got := pointStarts(from, to, v1.Granularity_GRANULARITY_DAY, loc)
		if len(got) != len(want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
		for i := range got {
			if !got[i].Equal(want[i]) {
				rt.Fatalf("point %d: got %v, want %v", i, got[i].In(loc), want[i].In(loc))
			}
		}
	})
}
