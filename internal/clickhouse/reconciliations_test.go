package clickhouse

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"clickledger/internal/click"
)

// told is the account of a run over the hour that begins with w.
func told(run string, w click.Window, state click.ReconciliationState, at time.Time) click.ToldReconciliation {
	return click.ToldReconciliation{At: at.UTC(), Reconciliation: click.Reconciliation{Run: run, From: w, To: click.HourEnd(w), State: state}}
}

func (l ledger) record(r click.ToldReconciliation) {
	l.t.Helper()
	l.must(l.RecordReconciliation(l.t.Context(), r))
}

// reconciledThrough is the zero Window while nothing is.
func (l ledger) reconciledThrough() click.Window {
	l.t.Helper()
	through, err := l.ReconciledThrough(l.t.Context())
	l.must(err)
	if through.IsZero() {
		return click.Window{}
	}
	return click.WindowOf(through)
}

func TestAReconciliationIsKeptWholeAndOnce(t *testing.T) {
	l := newLedger(t)
	hour := click.HourOf(l.start.Start())
	through := click.NextArchive(click.HourEnd(hour))
	r := told("run", hour, click.ReconciledRepaired, time.UnixMicro(1_795_428_000_123_456))
	r.Before = click.Comparison{Lake: 10, Store: 9, Figures: 8, Missing: 2, Surplus: 1, Places: 3, WrongFigures: 1, Minutes: []click.MinuteDelta{{Minute: l.start, Lake: 10, Store: 9}}}
	r.After = &click.Comparison{Lake: 10, Store: 10, Figures: 10}
	r.Inserted, r.Deleted, r.Restated, r.Reason = 2, 1, 4, "it's \"so\""
	r.Snapshot = click.LakeSnapshot{From: hour, To: r.To, TopicID: "topic", Through: &through, Archived: click.Offsets{3, 4}, Lost: 7, Version: 9}
	for range 3 {
		l.record(r)
	}
	waited := r // what the run told before: its own row, older
	waited.State, waited.After, waited.At = click.ReconciledDiffers, nil, r.At.Add(-time.Hour)
	l.record(waited)
	found, err := l.Reconciliations(t.Context(), click.ReconciliationsQuery{Limit: 10})
	l.must(err)
	if len(found) != 2 || found[1].State != click.ReconciledDiffers {
		t.Fatalf("found %+v", found)
	}
	got, _ := json.Marshal(found[0])
	want, _ := json.Marshal(r)
	if string(got) != string(want) {
		t.Errorf("kept %s\nwant %s", got, want)
	}
	columns := l.strings(`SELECT toString((from_minute, to_minute, reason, dry_run, lake, store, figures, missing, surplus, places, wrong_figures, places_left,
		inserted, deleted, restated, lost, through)) FROM reconciliations FINAL WHERE state = 'REPAIRED'`)
	if want := fmt.Sprintf(`('%s','%s','it\'s "so"',0,10,9,8,2,1,3,1,0,2,1,4,7,'%s')`, hour.Start().Format(time.DateTime), r.To.Start().Format(time.DateTime),
		through.Start().Format(time.DateTime)); len(columns) != 1 || columns[0] != want {
		t.Errorf("columns are %s\nwant %s", columns, want)
	}
	reconciled, err := l.Reconciled(t.Context())
	l.must(err)
	if v := reconciled.Hour(hour); !v.Done || v.Through != through || !v.Told.Equal(r.At) {
		t.Errorf("the hour is %+v", v)
	}
}

func TestReconciledThroughFollowsTheNewestWordOfEachHour(t *testing.T) {
	l := newLedger(t)
	first := click.HourOf(l.start.Start())
	second, now := click.HourEnd(first), time.Now()
	for i, step := range []struct {
		hour  click.Window
		state click.ReconciliationState
		want  click.Window
	}{
		{second, click.ReconciledClean, click.Window{}},
		{first, click.ReconciledRefused, click.Window{}},
		{first, click.ReconciledRepaired, click.HourEnd(second)},
		{second, click.ReconciledDiffers, second},
		{second, click.ReconciledClean, click.HourEnd(second)},
	} {
		l.record(told(fmt.Sprintf("run %d", i), step.hour, step.state, now.Add(time.Duration(i)*time.Second)))
		if got := l.reconciledThrough(); got != step.want {
			t.Errorf("step %d: reconciled through %s, want %s", i, got, step.want)
		}
	}
	l.record(told("run 3", second, click.ReconciledDiffers, now.Add(3*time.Second))) // a late attempt of an older word
	if got := l.reconciledThrough(); got != click.HourEnd(second) {
		t.Errorf("after a late attempt: reconciled through %s", got)
	}
	l.must(l.conn.Exec(t.Context(), "TRUNCATE TABLE windows_local"))
	if got, err := l.ReconciledThrough(t.Context()); err != nil || !got.IsZero() {
		t.Errorf("without a ledger: reconciled through %s, %v", got, err)
	}
}

func TestReconciliationsAreListedNewestFirstInPagesAndByStateAndTime(t *testing.T) {
	l := newLedger(t)
	hour, at := click.HourOf(l.start.Start()), time.UnixMicro(1_795_428_000_000_000)
	var want []string
	for i := range 7 {
		state := click.ReconciledClean
		if i%3 == 0 {
			state = click.ReconciledDiffers
		}
		// Two each are told at the same instant.
		r := told(fmt.Sprintf("run %d", i), hour, state, at.Add(time.Duration(i/2)*time.Microsecond))
		l.record(r)
		want = append([]string{r.Run}, want...)
		hour = click.HourEnd(hour)
	}
	var got []string
	query := click.ReconciliationsQuery{Limit: 2}
	for {
		page, err := l.Reconciliations(t.Context(), query)
		l.must(err)
		for i := range page {
			got = append(got, page[i].Run)
		}
		if len(page) < query.Limit {
			break
		}
		last := page[len(page)-1]
		query.After = &click.ReconciliationKey{At: last.At, Run: last.Run, State: last.State}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	first := click.HourOf(l.start.Start())
	for name, one := range map[string]struct {
		query click.ReconciliationsQuery
		want  string
	}{
		"state":             {click.ReconciliationsQuery{State: click.ReconciledDiffers}, "[run 6 run 3 run 0]"},
		"from":              {click.ReconciliationsQuery{From: first.Start().Add(5 * time.Hour)}, "[run 6 run 5]"},
		"from, in an hour":  {click.ReconciliationsQuery{From: first.Start().Add(5*time.Hour + time.Minute)}, "[run 6 run 5]"},
		"to":                {click.ReconciliationsQuery{To: first.Start().Add(2 * time.Hour)}, "[run 1 run 0]"},
		"to, in an hour":    {click.ReconciliationsQuery{To: first.Start().Add(2*time.Hour + time.Second)}, "[run 2 run 1 run 0]"},
		"between and state": {click.ReconciliationsQuery{From: first.Start().Add(time.Hour), To: first.Start().Add(4 * time.Hour), State: click.ReconciledClean}, "[run 2 run 1]"},
	} {
		one.query.Limit = 100
		page, err := l.Reconciliations(t.Context(), one.query)
		l.must(err)
		var runs []string
		for i := range page {
			runs = append(runs, page[i].Run)
		}
		if fmt.Sprint(runs) != one.want {
			t.Errorf("%s: listed %v, want %s", name, runs, one.want)
		}
	}
}

func TestDiscrepanciesAreKeptOnceAndListedInPages(t *testing.T) {
	l := newLedger(t)
	var list []click.Discrepancy
	for i := range int64(6) {
		list = append(list, click.Discrepancy{
			AdvertiserID: 1 + i%2, AdID: i / 2, Minute: l.start, Lake: 5, Store: 4, Figure: 3, Missing: 2, Surplus: 1,
			MissingSamples: []string{impressionText(1), impressionText(2)}, SurplusSamples: []string{impressionText(3)},
		})
	}
	list[5].Minute, list[5].MissingSamples, list[5].SurplusSamples = l.start.Next(), nil, nil
	for range 2 {
		l.must(l.RecordDiscrepancies(t.Context(), "run", 1, list))
	}
	l.must(l.RecordDiscrepancies(t.Context(), "run", 2, list[:1]))
	l.must(l.RecordDiscrepancies(t.Context(), "other", 1, list[:1]))
	l.must(l.RecordDiscrepancies(t.Context(), "none", 1, nil))
	var got []string
	query := click.DiscrepanciesQuery{Limit: 2}
	for {
		page, err := l.Discrepancies(t.Context(), query)
		l.must(err)
		for i := range page {
			got = append(got, fmt.Sprintf("%d/%d %s %d", page[i].AdvertiserID, page[i].AdID, page[i].Run, page[i].Pass))
		}
		if len(page) < query.Limit {
			break
		}
		key := page[len(page)-1].Key()
		query.After = &key
	}
	want := "[1/0 other 1 1/0 run 1 1/0 run 2 1/1 run 1 1/2 run 1 2/0 run 1 2/1 run 1 2/2 run 1]"
	if fmt.Sprint(got) != want {
		t.Errorf("listed %v, want %s", got, want)
	}
	for name, one := range map[string]struct {
		query click.DiscrepanciesQuery
		want  int
	}{
		"advertiser":     {click.DiscrepanciesQuery{AdvertiserID: 2}, 3},
		"ad":             {click.DiscrepanciesQuery{AdID: 2}, 2},
		"run":            {click.DiscrepanciesQuery{Run: "other"}, 1},
		"from, a second": {click.DiscrepanciesQuery{From: l.start.Next().Start().Add(time.Second)}, 1},
		"to":             {click.DiscrepanciesQuery{To: l.start.Next().Start()}, 7},
		"all of it":      {click.DiscrepanciesQuery{From: l.start.Start(), To: l.start.End(), AdvertiserID: 1, AdID: 1, Run: "run"}, 1},
	} {
		one.query.Limit = 100
		page, err := l.Discrepancies(t.Context(), one.query)
		l.must(err)
		if len(page) != one.want {
			t.Errorf("%s: %d are listed, want %d", name, len(page), one.want)
		}
	}
	page, err := l.Discrepancies(t.Context(), click.DiscrepanciesQuery{Run: "run", Limit: 1})
	l.must(err)
	d := page[0]
	if d.Minute != l.start || d.Lake != 5 || d.Store != 4 || d.Figure != 3 || d.Missing != 2 || d.Surplus != 1 ||
		fmt.Sprint(d.MissingSamples, d.SurplusSamples) != fmt.Sprint(list[0].MissingSamples, list[0].SurplusSamples) || time.Since(d.At).Abs() > time.Minute {
		t.Errorf("kept %+v", d)
	}
}
