package click

import (
	"testing"
	"time"
)

func TestWindowIsHalfOpenMinuteInUTC(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC):        "2026-11-23T10:05Z",
		time.Date(2026, 11, 23, 10, 5, 59, 999e6, time.UTC):   "2026-11-23T10:05Z",
		time.Date(2026, 11, 23, 10, 6, 0, 0, time.UTC):        "2026-11-23T10:06Z",
		time.Date(2026, 11, 24, 0, 0, 1, 0, berlin):           "2026-11-23T23:00Z",
		time.Date(1969, 12, 31, 23, 59, 30, 0, time.UTC):      "1969-12-31T23:59Z",
		time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).Add(-1e6): "2026-12-31T23:59Z",
	} {
		w := WindowOf(at)
		if w.String() != want {
			t.Errorf("WindowOf(%v) = %v, want %s", at, w, want)
		}
		if at.Before(w.Start()) || !at.Before(w.End()) {
			t.Errorf("%v is not in [%v, %v)", at, w.Start(), w.End())
		}
		if back, err := ParseWindow(want); err != nil || back != w {
			t.Errorf("ParseWindow(%s) = %v, %v", want, back, err)
		}
	}
}

func TestParseWindowRefusesOtherForms(t *testing.T) {
	for _, s := range []string{"", "2026-11-23", "2026-11-23T10:05", "2026-11-23T10:05:30Z", "2026-11-23T10:65Z", "10:05"} {
		if w, err := ParseWindow(s); err == nil {
			t.Errorf("ParseWindow(%q) = %v", s, w)
		}
	}
}

func TestWindowTravelsAsText(t *testing.T) {
	w := WindowOf(now)
	text, err := w.MarshalText()
	var back Window
	if err != nil || back.UnmarshalText(text) != nil || back != w {
		t.Errorf("%s came back as %v (%v)", text, back, err)
	}
}

func TestSealable(t *testing.T) {
	for name, c := range map[string]struct {
		partitions []PartitionProgress
		want       bool
	}{
		"nothing looked at":       {nil, false},
		"idle partitions":         {[]PartitionProgress{{0, 0, 0}, {1, 7, 7}}, true},
		"one behind":              {[]PartitionProgress{{0, 9, 9}, {1, 6, 7}}, false},
		"committed beyond":        {[]PartitionProgress{{0, 90, 9}}, true},
		"no commit on a full one": {[]PartitionProgress{{0, 0, 1}}, false},
	} {
		if got := Sealable(c.partitions); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDirtyIsExact(t *testing.T) {
	checked := Offsets{10, 0}
	for name, c := range map[string]struct {
		highest map[int32]int64
		want    bool
	}{
		"empty window":               {nil, false},
		"last flushed click":         {map[int32]int64{0: 9}, false},
		"first click after":          {map[int32]int64{0: 10}, true},
		"first in an idle partition": {map[int32]int64{1: 0}, true},
		"a partition added since":    {map[int32]int64{2: 0}, true},
	} {
		if got := Dirty(checked, c.highest); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWorstState(t *testing.T) {
	order := []State{Final, Restated, Provisional}
	for i, a := range order {
		for j, b := range order {
			if got, want := Worst(a, b), order[max(i, j)]; got != want {
				t.Errorf("Worst(%s, %s) = %s, want %s", a, b, got, want)
			}
		}
	}
}

func TestImpressionIDIsAUUIDv7(t *testing.T) {
	k := token(t, now).Impression
	if s := k.String(); len(s) != 36 || s[14] != '7' {
		t.Errorf("%s is not a UUID of version 7", s)
	}
	if !k.IssuedAt().Equal(now) {
		t.Errorf("issued at %v, want %v", k.IssuedAt(), now)
	}
	if m := k.Random62(); m < 0 || m >= 1<<62 {
		t.Errorf("Random62 = %d", m)
	}
}
