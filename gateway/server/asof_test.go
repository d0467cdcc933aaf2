package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// past is a report service whose store knows what was final since midnight.
func past(t *testing.T) (*reportService, *memoryStore, time.Time) {
	t.Helper()
	service, store, now := reports(t)
	store.ledger, store.settled = at(t, "2026-11-23T00:00:00Z"), now.Add(-click.AsOfSettled)
	return service, store, now
}

func TestAsOfATimeOnlyWhatWasSealedThenIsTold(t *testing.T) {
	service, store, now := past(t)
	asOf := now.Add(-time.Hour).Add(123456 * time.Microsecond)
	store.figures = func(q FiguresQuery) Figures {
		if !q.AsOf.Equal(asOf) || !q.SealedThrough.Equal(store.sealed.Add(-time.Hour)) {
			t.Errorf("asked %+v", q)
		}
		return Figures{Sealed: []Figure{{Start: at(t, "2026-11-23T09:02:00Z"), Clicks: 3}}, Restated: []Figure{{Start: at(t, "2026-11-23T09:02:00Z")}}, FilteredUnknown: true}
	}
	in := queryOf(t, "2026-11-23T09:05:00Z")
	in.StartTime, in.AsOf = timestamppb.New(at(t, "2026-11-23T09:01:00Z")), timestamppb.New(asOf.Add(7*time.Nanosecond))
	got, err := service.QueryClicks(asAdvertiser(t, 7), in)
	if err != nil {
		t.Fatal(err)
	}
	var states []v1.State
	for _, p := range got.GetPoints() {
		states = append(states, p.GetState())
		if p.Filtered != nil {
			t.Errorf("filtered is told: %v", p)
		}
	}
	want := []v1.State{v1.State_STATE_FINAL, v1.State_STATE_RESTATED, v1.State_STATE_PROVISIONAL, v1.State_STATE_PROVISIONAL}
	if !slices.Equal(states, want) || got.GetTotalClicks() != 3 || got.ReconciledThrough != nil || !got.GetSealedThrough().AsTime().Equal(at(t, "2026-11-23T09:03:00Z")) {
		t.Errorf("got %v", got)
	}
}

func TestTimesOfWhichNothingCanBeToldAreRefusedInWords(t *testing.T) {
	service, _, now := past(t)
	for want, asOf := range map[string]*timestamppb.Timestamp{
		"in the future":           timestamppb.New(now.Add(time.Second)),
		"at least 10 seconds ago": timestamppb.New(now.Add(-9 * time.Second)),
		"before the ledger":       timestamppb.New(at(t, "2026-11-22T23:59:59Z")),
		"nothing is known":        timestamppb.New(time.Time{}), // no time at all in Go, but a time here
		"not a time":              {Seconds: 1 << 60},
	} {
		in := queryOf(t, "2026-11-23T10:02:00Z")
		in.AsOf = asOf
		_, err := service.QueryClicks(asAdmin(t), in)
		list := &v1.ListRestatementsRequest{AdvertiserId: 7, StartTime: in.GetStartTime(), EndTime: in.GetEndTime(), AsOf: asOf}
		_, listErr := service.ListRestatements(asAdmin(t), list)
		for _, err := range []error{err, listErr} {
			if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
}

func TestPagesOfRestatementsAreOfOneTimeAndHaveEachOnce(t *testing.T) {
	service, store, now := past(t)
	minute := at(t, "2026-11-23T08:00:00Z")
	for id := int64(1); id <= 3; id++ {
		store.corrections = append(store.corrections, click.Correction{
			AdID: id, Minute: minute, ReplacedVersion: 1 << 63, Before: 4, After: 2, At: minute.Add(time.Hour), Reason: "late",
		})
	}
	in := &v1.ListRestatementsRequest{
		AdvertiserId: 7, StartTime: timestamppb.New(minute), EndTime: timestamppb.New(minute.Add(time.Minute)),
		Since: timestamppb.New(minute.Add(time.Minute)), PageSize: 2,
	}
	first, err := service.ListRestatements(asAdvertiser(t, 7), in)
	if err != nil {
		t.Fatal(err)
	}
	if r := first.GetRestatements(); len(r) != 2 || r[0].GetAdId() != 1 || r[0].GetClicksBefore() != 4 || r[0].GetClicksAfter() != 2 ||
		!r[0].GetMinute().AsTime().Equal(minute) || !r[0].GetRestateTime().AsTime().Equal(minute.Add(time.Hour)) || r[0].GetReason() != "late" {
		t.Errorf("the first page is %v", first)
	}
	service.now = func() time.Time { return now.Add(time.Hour) }
	in.PageToken = first.GetNextPageToken()
	second, err := service.ListRestatements(asAdvertiser(t, 7), in)
	if err != nil || len(second.GetRestatements()) != 1 || second.GetRestatements()[0].GetAdId() != 3 || second.GetNextPageToken() != "" {
		t.Fatalf("the second page is %v: %v", second, err)
	}
	asked := store.corrected
	if !asked[0].AsOf.Equal(asked[1].AsOf) || !asked[0].AsOf.Equal(first.GetAsOf().AsTime()) || asked[0].AsOf.After(now.Add(-click.AsOfSettled)) ||
		!asked[0].Since.Equal(minute.Add(time.Minute)) || asked[1].After.AdID != 2 || !asked[1].After.Minute.Equal(minute) || asked[1].After.ReplacedVersion != 1<<63 {
		t.Errorf("asked %+v", asked)
	}
	in.AsOf = timestamppb.New(now.Add(-time.Minute))
	if _, err := service.ListRestatements(asAdmin(t), in); err == nil || !strings.Contains(err.Error(), "another as_of") {
		t.Errorf("a page of another time: %v", err)
	}
	for _, token := range []string{"x", "1.2.3", "1.2.3.4.5", "-1.1.1.1", "1.-1.1.1", "zzzzzzzzzzzzzzzz.1.1.1"} {
		in.PageToken = token
		if _, err := service.ListRestatements(asAdmin(t), in); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "page_token") {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func TestRestatementsOfAnotherAdvertiserTellNothing(t *testing.T) {
	service, store, now := past(t)
	foreign := testAd(3)
	foreign.AdvertiserID = 8
	store.ads[3], store.advertisers[8] = foreign, click.Advertiser{ID: 8}
	in := &v1.ListRestatementsRequest{AdvertiserId: 8, StartTime: timestamppb.New(now.Add(-time.Hour)), EndTime: timestamppb.New(now)}
	if _, err := service.ListRestatements(asAdvertiser(t, 7), in); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("another advertiser: %v", err)
	}
	in.AdvertiserId, in.AdIds = 7, []int64{3}
	if _, err := service.ListRestatements(asAdvertiser(t, 7), in); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("another's ad: %v", err)
	}
	in.AdIds, in.Since = nil, timestamppb.New(now.Add(time.Second))
	if _, err := service.ListRestatements(asAdvertiser(t, 7), in); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("since the future: %v", err)
	}
	if len(store.corrected) > 0 {
		t.Errorf("asked %+v", store.corrected)
	}
}

func TestTopAdsSayHowFinalTheyAre(t *testing.T) {
	for sealed, want := range map[string][2]click.State{
		"2026-11-23T12:00:00Z": {click.Restated, click.Final},
		"2026-11-23T11:59:00Z": {click.Provisional, click.Provisional},
	} {
		for i, ad := range []AdClicks{{AdID: 1, Restated: true}, {AdID: 2}} {
			if got := ad.state(at(t, "2026-11-23T12:00:00Z"), at(t, sealed)); got != want[i] {
				t.Errorf("sealed through %s ad %d is %s, want %s", sealed, ad.AdID, got, want[i])
			}
		}
	}
}
