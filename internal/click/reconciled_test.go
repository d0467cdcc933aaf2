package click_test

import (
	"strings"
	"testing"
	"time"

	"clickledger/internal/click"
)

func at(t *testing.T, text string) click.Window {
	t.Helper()
	w, err := click.ParseWindow("2026-11-23T" + text + "Z")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// span is one that was told so many minutes after the others began.
func span(t *testing.T, from, to string, state click.ReconciliationState, told int) click.ReconciledSpan {
	t.Helper()
	return click.ReconciledSpan{
		From: at(t, from), To: at(t, to), State: state, At: at(t, "20:00").Start().Add(time.Duration(told) * time.Minute),
	}
}

func TestReconciledThroughMovesOnlyOverHoursWithNothingLeft(t *testing.T) {
	const clean, repaired, differs, refused = click.ReconciledClean, click.ReconciledRepaired, click.ReconciledDiffers, click.ReconciledRefused
	left := span(t, "11:00", "12:00", repaired, 1)
	left.Left = 1
	for name, one := range map[string]struct {
		start string
		spans []click.ReconciledSpan
		want  string
	}{
		"nothing is reconciled":               {"10:17", nil, ""},
		"the first hour, begun in its middle": {"10:17", []click.ReconciledSpan{span(t, "10:00", "11:00", clean, 1)}, "11:00"},
		"only its part in the ledger":         {"10:17", []click.ReconciledSpan{span(t, "10:17", "11:00", clean, 1)}, "11:00"},
		"a minute of it is missing":           {"10:17", []click.ReconciledSpan{span(t, "10:18", "11:00", clean, 1)}, ""},
		"an hour is missing": {"10:00", []click.ReconciledSpan{
			span(t, "10:00", "11:00", clean, 1), span(t, "12:00", "13:00", clean, 2)}, "11:00"},
		"the first hour is missing": {"10:00", []click.ReconciledSpan{span(t, "11:00", "12:00", clean, 1)}, ""},
		"repaired is as good as clean": {"10:00", []click.ReconciledSpan{
			span(t, "10:00", "11:00", repaired, 1), span(t, "11:00", "12:00", clean, 2)}, "12:00"},
		"something is left": {"10:00", []click.ReconciledSpan{span(t, "10:00", "11:00", repaired, 1), left}, "11:00"},
		"the newest word counts: worse": {"10:00", []click.ReconciledSpan{
			span(t, "10:00", "11:00", clean, 1), span(t, "11:00", "12:00", clean, 2), span(t, "10:30", "10:31", differs, 3)}, ""},
		"the newest word counts: better": {"10:00", []click.ReconciledSpan{
			span(t, "10:00", "11:00", clean, 3), span(t, "10:30", "10:31", differs, 2)}, "11:00"},
		"parts cover the hour together": {"10:00", []click.ReconciledSpan{
			span(t, "10:00", "10:20", clean, 3), span(t, "10:40", "11:00", clean, 1), span(t, "10:10", "10:45", clean, 2)}, "11:00"},
		"a part of them was refused": {"10:00", []click.ReconciledSpan{
			span(t, "10:00", "10:20", clean, 1), span(t, "10:20", "11:00", refused, 2)}, ""},
		"hours before the ledger do not matter": {"10:00", []click.ReconciledSpan{
			span(t, "09:00", "10:00", differs, 1), span(t, "10:00", "11:00", clean, 1)}, "11:00"},
	} {
		var want time.Time
		if one.want != "" {
			want = at(t, one.want).Start()
		}
		if got := click.NewReconciled(at(t, one.start), one.spans).Through(); !got.Equal(want) {
			t.Errorf("%s: reconciled through %s, want %s", name, got, want)
		}
	}
}

func TestAnHourTellsWhatAllOfItHasRead(t *testing.T) {
	early, late := span(t, "10:00", "10:30", click.ReconciledClean, 1), span(t, "10:30", "11:00", click.ReconciledClean, 2)
	early.Through, late.Through = at(t, "11:00"), at(t, "11:40")
	r := click.NewReconciled(at(t, "10:00"), []click.ReconciledSpan{late, early})
	if got := r.Hour(at(t, "10:00")); !got.Done || got.Through != early.Through || !got.Told.Equal(late.At) {
		t.Errorf("the hour is %+v", got)
	}
	if got := r.Hour(at(t, "11:00")); got != (click.HourVerdict{}) {
		t.Errorf("an hour of which nothing was told is %+v", got)
	}
	// Before the ledger an hour needs all of its minutes.
	r = click.NewReconciled(at(t, "12:30"), []click.ReconciledSpan{early})
	if got := r.Hour(at(t, "10:00")); got.Whole {
		t.Errorf("half an hour is %+v", got)
	}
}

func TestReconciliationsAlarmNamesWhatIsOpenAndHowFarTheyAreBehind(t *testing.T) {
	start := at(t, "10:00")
	differs := span(t, "10:00", "11:00", click.ReconciledDiffers, 1)
	differs.Reason = "waits for approve-repair: 20,000 of 100,000 clicks"
	refused := span(t, "12:00", "12:05", click.ReconciledRefused, 1)
	clean := span(t, "10:00", "11:00", click.ReconciledClean, 2)
	soon, late := at(t, "12:30").Start(), at(t, "14:01").Start()
	for name, one := range map[string]struct {
		spans []click.ReconciledSpan
		now   time.Time
		lake  bool
		want  []string // in this order; none: no alarm
	}{
		"in time":       {[]click.ReconciledSpan{clean}, soon, true, nil},
		"nothing yet":   {nil, soon, true, nil},
		"behind":        {[]click.ReconciledSpan{clean}, late, true, []string{"to agree only up to 3h1m0s ago"}},
		"without lake":  {nil, late, false, nil},
		"differs":       {[]click.ReconciledSpan{differs}, soon, true, []string{"Lake and store differ in hour 2026-11-23T10: waits for approve-repair: 20,000 of 100,000 clicks."}},
		"mended since":  {[]click.ReconciledSpan{differs, clean}, soon, true, nil},
		"refused":       {[]click.ReconciledSpan{clean, refused}, soon, true, []string{"The lake is not complete, nothing was judged in 2026-11-23T12:00Z to 2026-11-23T12:05Z."}},
		"all of it":     {[]click.ReconciledSpan{differs, refused}, late, true, []string{"differ in hour", "not complete", "to agree only up to"}},
		"more of these": {[]click.ReconciledSpan{differs, refused, span(t, "13:00", "14:00", click.ReconciledDiffers, 1), span(t, "14:00", "15:00", click.ReconciledDiffers, 1), span(t, "15:00", "16:00", click.ReconciledDiffers, 1)}, soon, true, []string{"hour 2026-11-23T13", "with 2 more"}},
	} {
		got := click.NewReconciled(start, one.spans).Alarm(one.now, one.lake)
		rest := got
		for _, part := range one.want {
			_, after, found := strings.Cut(rest, part)
			if rest = after; !found {
				t.Errorf("%s: %q says nothing of %q", name, got, part)
			}
		}
		if len(one.want) == 0 && got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestASpanLiesWithinAnHour(t *testing.T) {
	for _, one := range []struct {
		from, to string
		want     bool
	}{
		{"10:00", "11:00", true}, {"10:59", "11:00", true}, {"10:00", "11:01", false},
		{"10:59", "11:01", false}, {"10:00", "10:00", false}, {"10:01", "10:00", false},
	} {
		if got := click.WithinHour(at(t, one.from), at(t, one.to)); got != one.want {
			t.Errorf("%s to %s: %v", one.from, one.to, got)
		}
	}
}
