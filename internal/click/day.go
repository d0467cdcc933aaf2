package click

import (
	"fmt"
	"time"
)

const dayLength = 24 * time.Hour

// Day is one day of event time in UTC.
type Day struct{ number int64 } // since the epoch

// DayOf is the day that t falls into.
func DayOf(t time.Time) Day {
	const seconds = int64(dayLength / time.Second)
	number := t.Unix() / seconds
	if t.Unix()%seconds < 0 {
		number--
	}
	return Day{number}
}

// ParseDay reads what String writes, for example 2026-11-22.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Day{}, fmt.Errorf("day %q is not of the form %s", s, time.DateOnly)
	}
	return DayOf(t), nil
}

// Start is the first instant of the day, UTC.
func (d Day) Start() time.Time { return time.Unix(d.number*int64(dayLength/time.Second), 0).UTC() }

// End is the first instant after the day, UTC.
func (d Day) End() time.Time { return d.Add(1).Start() }

// Add is the day so many days later.
func (d Day) Add(days int) Day { return Day{d.number + int64(days)} }

// Before reports whether d is earlier than other.
func (d Day) Before(other Day) bool { return d.number < other.number }

// Since is how many days d is later than other.
func (d Day) Since(other Day) int { return int(d.number - other.number) }

// String is the form used in workflow ids: 2026-11-22.
func (d Day) String() string { return d.Start().Format(time.DateOnly) }

// MarshalText writes the form of String.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the form of String.
func (d *Day) UnmarshalText(text []byte) error {
	parsed, err := ParseDay(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
