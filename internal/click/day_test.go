package click

import (
	"testing"
	"time"
)

func day(t testing.TB, text string) Day {
	t.Helper()
	d, err := ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDayIsOfUTCAndTravelsAsText(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 22, 23, 59, 59, 999e6, time.UTC):                   "2026-11-22",
		time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC):                          "2026-11-23",
		time.Date(2026, 11, 23, 0, 30, 0, 0, time.FixedZone("", 3600)):         "2026-11-22",
		time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC):                       "1969-12-31",
		time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Microsecond * 1): "2026-12-31",
	} {
		d := DayOf(at)
		if d.String() != want || at.Before(d.Start()) || !at.Before(d.End()) {
			t.Errorf("DayOf(%v) = %v, want %s", at, d, want)
		}
		text, err := d.MarshalText()
		var back Day
		if err != nil || back.UnmarshalText(text) != nil || back != d {
			t.Errorf("%s came back as %v (%v)", text, back, err)
		}
	}
	for _, s := range []string{"", "2026-11", "2026-11-31", "2026-11-22T00:00Z"} {
		if d, err := ParseDay(s); err == nil {
			t.Errorf("ParseDay(%q) = %v", s, d)
		}
	}
}
