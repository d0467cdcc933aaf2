package click

import (
	"fmt"
	"time"
)

// WindowLength is the length of a window.
const WindowLength = time.Minute

const windowLayout = "2006-01-02T15:04Z"

// Window is one minute of event time in UTC, half-open: [Start, End).
type Window struct{ start int64 } // Unix minutes

// WindowOf is the window that t falls into.
func WindowOf(t time.Time) Window {
	minute := t.Unix() / 60
	if t.Unix()%60 < 0 {
		minute--
	}
	return Window{minute}
}

// ParseWindow reads what String writes, for example 2026-11-23T10:05Z.
func ParseWindow(s string) (Window, error) {
	t, err := time.Parse(windowLayout, s)
	if err != nil {
		return Window{}, fmt.Errorf("window %q is not of the form %s", s, windowLayout)
	}
	return WindowOf(t), nil
}

// Start is the first instant of the window, UTC.
func (w Window) Start() time.Time { return time.Unix(w.start*60, 0).UTC() }

// End is the first instant after the window, UTC.
func (w Window) End() time.Time { return w.Next().Start() }

// Next is the window that begins where w ends.
func (w Window) Next() Window { return Window{w.start + 1} }

// Before reports whether w is earlier than other.
func (w Window) Before(other Window) bool { return w.start < other.start }

// ClosedAt is the earliest wall-clock time at which w may be sealed: its end
// and the allowed lateness behind it.
func (w Window) ClosedAt(lateness time.Duration) time.Time { return w.End().Add(lateness) }

// String is the form used in workflow ids: 2026-11-23T10:05Z.
func (w Window) String() string { return w.Start().Format(windowLayout) }

// MarshalText writes the form of String.
func (w Window) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads the form of String.
func (w *Window) UnmarshalText(text []byte) error {
	parsed, err := ParseWindow(string(text))
	if err != nil {
		return err
	}
	*w = parsed
	return nil
}
