package server

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "clickledger/proto/gen/clickledger/v1"
)

func TestFilteredClicksStandBesideTheCountedOnes(t *testing.T) {
	service, store, _ := reports(t)
	store.figures = func(q FiguresQuery) Figures {
		if !q.FilteredFrom.Equal(q.From) {
			t.Errorf("asked what was not counted from %v on", q.FilteredFrom)
		}
		return Figures{
			Sealed: []Figure{{AdID: 1, Start: at(t, "2026-11-23T10:00:00Z"), Clicks: 3}},
			Filtered: []FilteredFigure{ // duplicate, expired, paused, prefetch
				{AdID: 1, Start: at(t, "2026-11-23T10:00:00Z"), ByReason: []uint64{2, 0, 0, 1}},
				{AdID: 2, Start: at(t, "2026-11-23T10:01:00Z"), ByReason: []uint64{5, 0, 4, 0}}, // nothing of it counted
			},
		}
	}
	in := queryOf(t, "2026-11-23T10:02:00Z")
	in.GroupByAd = true
	got, err := service.QueryClicks(asAdvertiser(t, 7), in)
	if err != nil || len(got.GetPoints()) != 4 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, want := range []int64{3, 0, 0, 9} {
		if p := got.GetPoints()[i]; p.Filtered == nil || p.GetFiltered() != want {
			t.Errorf("point %d: %v, want %d filtered", i, p, want)
		}
	}
	if got.GetTotalClicks() != 3 || got.TotalFiltered == nil || got.GetTotalFiltered() != 12 {
		t.Errorf("totals: %v", got)
	}
	reasons := map[v1.Verdict]int64{}
	for _, r := range got.GetFilteredByReason() {
		reasons[r.GetReason()] = r.GetCount()
	}
	if len(reasons) != 3 || reasons[v1.Verdict_VERDICT_DUPLICATE] != 7 || reasons[v1.Verdict_VERDICT_PAUSED] != 4 || reasons[v1.Verdict_VERDICT_PREFETCH] != 1 {
		t.Errorf("reasons: %v", reasons)
	}
}

// What is not known any more is left away, never told as zero.
func TestFilteredClicksAreOnlyToldWhereTheyAreKnown(t *testing.T) {
	service, store, now := reports(t)
	known := now.Add(-filteredKept).Truncate(24 * time.Hour).Add(24 * time.Hour) // the first whole day
	store.figures = func(q FiguresQuery) Figures {
		if !q.FilteredFrom.Equal(known) {
			t.Errorf("asked from %v on, want %v", q.FilteredFrom, known)
		}
		return Figures{Filtered: []FilteredFigure{{Start: known, ByReason: []uint64{1, 0, 0, 0}}}}
	}
	in := queryOf(t, "2026-11-23T10:02:00Z")
	in.StartTime, in.Granularity = timestamppb.New(known.AddDate(0, 0, -2)), v1.Granularity_GRANULARITY_DAY
	got, err := service.QueryClicks(asAdmin(t), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got.GetPoints() {
		if (p.Filtered != nil) != (i >= 2) {
			t.Errorf("point %d: %v", i, p)
		}
	}
	if got.GetPoints()[2].GetFiltered() != 1 || got.TotalFiltered != nil || len(got.GetFilteredByReason()) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestFilteredClicksThatTakeTooLongAreNotKnown(t *testing.T) {
	service, store, _ := reports(t)
	store.figures = func(FiguresQuery) Figures {
		return Figures{Sealed: []Figure{{Start: at(t, "2026-11-23T10:00:00Z"), Clicks: 3}}, FilteredUnknown: true}
	}
	got, err := service.QueryClicks(asAdmin(t), queryOf(t, "2026-11-23T10:02:00Z"))
	if err != nil || got.GetTotalClicks() != 3 || got.TotalFiltered != nil || got.GetPoints()[0].Filtered != nil {
		t.Errorf("%v, %v", got, err)
	}
}
