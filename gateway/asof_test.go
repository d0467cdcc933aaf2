package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "clickledger/proto/gen/clickledger/v1"
)

const settledDeadline = time.Minute

// askOf is a question in a random zone and granularity, about whole days.
func (h history) askOf(random *rand.Rand) *v1.QueryClicksRequest {
	zones := []string{"", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"}
	from := h.from.Truncate(24*time.Hour).AddDate(0, 0, random.IntN(4))
	in := &v1.QueryClicksRequest{
		AdvertiserId: h.ad.GetAdvertiserId(), TimeZone: zones[random.IntN(len(zones))], GroupByAd: random.IntN(2) == 0,
		StartTime: timestamppb.New(from), EndTime: timestamppb.New(from.Add(time.Duration(1+random.IntN(6*24*60)) * time.Minute)),
		Granularity: v1.Granularity(1 + random.IntN(5)),
	}
	if in.GetEndTime().AsTime().After(h.sealed) {
		in.EndTime = timestamppb.New(h.sealed)
	}
	return in
}

// An invoice is what QueryClicks told of minutes that were final. Its time
// brings it back, point by point, whatever was corrected since; and what was
// corrected is the difference to what is told now.
func TestAnInvoiceIsToldAgainAsItWas(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	g := startGateways(t, 1)[0]
	h := newHistory(t, g, random)
	invoices := map[*v1.QueryClicksRequest]*v1.QueryClicksResponse{}
	for range 12 {
		in := h.askOf(random)
		told, err := h.reports.QueryClicks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		invoices[in] = told
	}
	var billed time.Time
	if err := g.conn(t).QueryRow(t.Context(), "SELECT now64(6)").Scan(&billed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next millisecond", func() bool { return time.Since(billed) > 5*time.Millisecond })
	for i := range 6 {
		h.restate(h.from.AddDate(0, 0, 1+i%4), 24*time.Hour, []int{0, 20}[i%2])
	}
	h.waitUntilTold(t, billed)
	for in, told := range invoices {
		in.AsOf = timestamppb.New(billed)
		again, err := h.reports.QueryClicks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		wantSameFigures(t, again, told)
		if in.GetGroupByAd() && len(told.GetPoints()) > 0 {
			paged := proto.CloneOf(in)
			paged.PageSize = 1
			page, err := h.reports.QueryClicks(t.Context(), paged)
			if err != nil || page.GetNextPageToken() != "" {
				t.Errorf("a page of it: %v, %v", page, err)
			}
			wantSameFigures(t, page, told)
		}
		in.AsOf = nil
		now, err := h.reports.QueryClicks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		corrected, err := h.reports.ListRestatements(t.Context(), &v1.ListRestatementsRequest{
			AdvertiserId: in.GetAdvertiserId(), StartTime: in.GetStartTime(), EndTime: in.GetEndTime(), Since: timestamppb.New(billed),
		})
		if err != nil {
			t.Fatal(err)
		}
		change := int64(0)
		for _, r := range corrected.GetRestatements() {
			change += r.GetClicksAfter() - r.GetClicksBefore()
		}
		if now.GetTotalClicks()-told.GetTotalClicks() != change {
			t.Errorf("%d clicks were billed, %d are told now, the corrections are %v", told.GetTotalClicks(), now.GetTotalClicks(), corrected)
		}
	}
}

// waitUntilTold waits until of a time can be told, and of the changes since.
func (h history) waitUntilTold(t *testing.T, at time.Time) {
	t.Helper()
	changed, deadline := time.Now(), time.After(settledDeadline)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		listed, err := h.reports.ListRestatements(t.Context(), &v1.ListRestatementsRequest{
			AdvertiserId: h.ad.GetAdvertiserId(), StartTime: timestamppb.New(h.from), EndTime: timestamppb.New(h.sealed), Since: timestamppb.New(at), PageSize: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if listed.GetAsOf().AsTime().After(changed) {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("still told is what was final at %v", listed.GetAsOf().AsTime())
		}
	}
}

func wantSameFigures(t *testing.T, got, want *v1.QueryClicksResponse) {
	t.Helper()
	if got.GetTotalClicks() != want.GetTotalClicks() || len(got.GetPoints()) != len(want.GetPoints()) || !proto.Equal(got.GetSealedThrough(), want.GetSealedThrough()) {
		t.Errorf("told again are %d clicks in %d points, sealed through %v; it was %d in %d, through %v", got.GetTotalClicks(), len(got.GetPoints()),
			got.GetSealedThrough().AsTime(), want.GetTotalClicks(), len(want.GetPoints()), want.GetSealedThrough().AsTime())
		return
	}
	for i, p := range got.GetPoints() {
		was := proto.CloneOf(want.GetPoints()[i])
		was.Filtered = nil
		if !proto.Equal(p, was) {
			t.Errorf("told again is %v, it was %v", p, was)
		}
	}
}

func TestATimeThatCannotBeToldOfIsRefused(t *testing.T) {
	g := startGateways(t, 1)[0]
	h := newHistory(t, g, rand.New(rand.NewPCG(1, 0)))
	for want, asOf := range map[string]time.Time{
		"at least 10 seconds ago": time.Now().Add(-time.Second),
		"in the future":           time.Now().Add(time.Hour),
		"before the ledger":       h.from.Add(-time.Second),
	} {
		_, err := h.reports.QueryClicks(t.Context(), &v1.QueryClicksRequest{
			AdvertiserId: h.ad.GetAdvertiserId(), StartTime: timestamppb.New(h.from), EndTime: timestamppb.New(h.from.Add(time.Hour)), AsOf: timestamppb.New(asOf),
		})
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("as of %v: %v", asOf, err)
		}
	}
}
