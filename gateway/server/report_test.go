package server

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// reports is a report service over a store in memory, at a fixed time, with
// one advertiser (7) and its ads 1 and 2.
func reports(t *testing.T) (*reportService, *memoryStore, time.Time) {
	t.Helper()
	store, now := newMemoryStore(), at(t, "2026-11-23T12:00:00Z")
	store.advertisers[7] = click.Advertiser{ID: 7}
	for id := int64(1); id <= 2; id++ {
		ad := testAd(id)
		store.ads[id] = ad
	}
	store.sealed = at(t, "2026-11-23T10:03:00Z")
	return &reportService{store: store, now: func() time.Time { return now }}, store, now
}

func withPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, callKey{}, &call{principal: p})
}

func asAdmin(t *testing.T) context.Context {
	return withPrincipal(t.Context(), Principal{Role: click.RoleAdmin})
}

func asAdvertiser(t *testing.T, id int64) context.Context {
	return withPrincipal(t.Context(), Principal{Role: click.RoleAdvertiser, AdvertiserID: id, KeyID: 1})
}

// queryOf asks from ten o'clock on, where the store of reports has figures.
func queryOf(t *testing.T, to string) *v1.QueryClicksRequest {
	t.Helper()
	return &v1.QueryClicksRequest{
		AdvertiserId: 7, StartTime: timestamppb.New(at(t, "2026-11-23T10:00:00Z")), EndTime: timestamppb.New(at(t, to)),
	}
}

func TestPointsAreZeroFilledAndStatedByWhatIsSealed(t *testing.T) {
	service, store, _ := reports(t)
	store.figures = func(q FiguresQuery) Figures {
		if !q.SealedThrough.Equal(store.sealed) {
			t.Errorf("asked with %v", q.SealedThrough)
		}
		return Figures{
			Sealed:   []Figure{{Start: at(t, "2026-11-23T10:00:00Z"), Clicks: 3}, {Start: at(t, "2026-11-23T10:01:00Z"), Clicks: 4}},
			Fresh:    []Figure{{Start: at(t, "2026-11-23T10:03:00Z"), Clicks: 5}},
			Restated: []Figure{{Start: at(t, "2026-11-23T10:01:00Z")}},
		}
	}
	got, err := service.QueryClicks(asAdvertiser(t, 7), queryOf(t, "2026-11-23T10:05:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		clicks int64
		state  v1.State
	}{
		{3, v1.State_STATE_FINAL}, {4, v1.State_STATE_RESTATED}, {0, v1.State_STATE_FINAL},
		{5, v1.State_STATE_PROVISIONAL}, {0, v1.State_STATE_PROVISIONAL},
	}
	if len(got.GetPoints()) != len(want) || got.GetTotalClicks() != 12 {
		t.Fatalf("got %v", got)
	}
	for i, w := range want {
		p := got.GetPoints()[i]
		if p.GetClicks() != w.clicks || p.GetState() != w.state || p.AdId != nil {
			t.Errorf("point %d: %v", i, p)
		}
	}
}

func TestCoarserPointIsTheWorstOfItsMinutesAndMeetsBothSources(t *testing.T) {
	service, store, _ := reports(t)
	store.figures = func(q FiguresQuery) Figures {
		hour := at(t, "2026-11-23T10:00:00Z")
		return Figures{Sealed: []Figure{{Start: hour, Clicks: 3}}, Fresh: []Figure{{Start: hour, Clicks: 5}}, Restated: []Figure{{Start: hour}}}
	}
	in := queryOf(t, "2026-11-23T11:00:00Z")
	in.Granularity = v1.Granularity_GRANULARITY_HOUR
	got, err := service.QueryClicks(asAdmin(t), in)
	if err != nil || len(got.GetPoints()) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if p := got.GetPoints()[0]; p.GetClicks() != 8 || p.GetState() != v1.State_STATE_PROVISIONAL {
		t.Errorf("got %v", p)
	}
}

func TestGroupByAdGivesASeriesForEachAdAskedOrClicked(t *testing.T) {
	service, store, _ := reports(t)
	store.figures = func(FiguresQuery) Figures {
		return Figures{Sealed: []Figure{{AdID: 2, Start: at(t, "2026-11-23T10:01:00Z"), Clicks: 4}}}
	}
	in := queryOf(t, "2026-11-23T10:02:00Z")
	in.GroupByAd = true
	got, err := service.QueryClicks(asAdmin(t), in)
	if err != nil || len(got.GetPoints()) != 2 || got.GetPoints()[1].GetAdId() != 2 || got.GetPoints()[1].GetClicks() != 4 {
		t.Errorf("those with clicks: %v, %v", got, err)
	}
	in.AdIds = []int64{2, 1}
	got, err = service.QueryClicks(asAdmin(t), in)
	if err != nil || len(got.GetPoints()) != 4 || got.GetPoints()[0].GetAdId() != 1 || got.GetPoints()[3].GetClicks() != 4 {
		t.Errorf("those asked for: %v, %v", got, err)
	}
}

func TestReportOfAnotherAdvertiserTellsNothing(t *testing.T) {
	service, store, _ := reports(t)
	foreign := testAd(3)
	foreign.AdvertiserID = 8
	store.ads[3], store.advertisers[8] = foreign, click.Advertiser{ID: 8}
	in := queryOf(t, "2026-11-23T10:02:00Z")
	for _, other := range []int64{8, 99} { // one that exists, one that does not
		in.AdvertiserId = other
		if _, err := service.QueryClicks(asAdvertiser(t, 7), in); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("advertiser %d: %v", other, err)
		}
	}
	in.AdvertiserId = 7
	var answers []string
	for _, other := range []int64{3, 99} {
		in.AdIds = []int64{1, other}
		_, err := service.QueryClicks(asAdvertiser(t, 7), in)
		if connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("ad %d: %v", other, err)
		}
		answers = append(answers, err.Error())
	}
	if answers[0] != answers[1] {
		t.Errorf("the answers differ: %q", answers)
	}
	// Whose the ads are is asked beside the rest, whose own fault is not told then.
	in.GroupByAd, in.PageToken = true, "made up"
	if _, err := service.QueryClicks(asAdvertiser(t, 7), in); err == nil || err.Error() != answers[0] {
		t.Errorf("with a fault behind it: %v", err)
	}
	in.GroupByAd, in.PageToken = false, ""
	if _, err := service.QueryClicks(withPrincipal(t.Context(), Principal{Role: click.RolePublisher}), in); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a publisher: %v", err)
	}
}

// endlessStore answers no figures before nobody wants them any more.
type endlessStore struct{ *memoryStore }

func (endlessStore) Figures(ctx context.Context, _ FiguresQuery) (Figures, error) {
	<-ctx.Done()
	return Figures{}, ctx.Err()
}

func TestFiguresOfAdsOfAnotherAreGivenUp(t *testing.T) {
	service, store, _ := reports(t)
	service.store = endlessStore{store}
	in := queryOf(t, "2026-11-23T10:02:00Z")
	in.AdIds = []int64{99}
	if _, err := service.QueryClicks(asAdvertiser(t, 7), in); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("the answer: %v", err)
	}
}

func TestReportRangesAreBoundedInWords(t *testing.T) {
	service, _, now := reports(t)
	for want, change := range map[string]func(*v1.QueryClicksRequest){
		"527,040 points asked, at most 50,000: use a coarser granularity": func(in *v1.QueryClicksRequest) {
			in.EndTime = timestamppb.New(in.GetStartTime().AsTime().Add(527_040 * time.Minute))
		},
		"2,000,000 points asked": func(in *v1.QueryClicksRequest) {
			in.GroupByAd = true
			for id := range int64(1000) {
				in.AdIds = append(in.AdIds, id+1)
			}
			in.EndTime = timestamppb.New(in.GetStartTime().AsTime().Add(2000 * time.Minute))
		},
		"whole minutes": func(in *v1.QueryClicksRequest) {
			in.StartTime = timestamppb.New(in.GetStartTime().AsTime().Add(time.Second))
		},
		"before end_time": func(in *v1.QueryClicksRequest) { in.EndTime = in.GetStartTime() },
		"400 days ago":    func(in *v1.QueryClicksRequest) { in.StartTime = timestamppb.New(now.AddDate(-2, 0, 0)) },
		"400 days ahead":  func(in *v1.QueryClicksRequest) { in.EndTime = &timestamppb.Timestamp{Seconds: 253402300740} },
		"400 days apart": func(in *v1.QueryClicksRequest) {
			in.StartTime = timestamppb.New(now.AddDate(0, 0, -300))
			in.EndTime = timestamppb.New(now.AddDate(0, 0, 300))
		},
		"IANA name":               func(in *v1.QueryClicksRequest) { in.TimeZone = "../etc/passwd" },
		"such as":                 func(in *v1.QueryClicksRequest) { in.TimeZone = "Local" },
		"an answer of one series": func(in *v1.QueryClicksRequest) { in.PageSize = 5 },
		"page_token are for":      func(in *v1.QueryClicksRequest) { in.PageToken = "x" },
	} {
		in := proto.CloneOf(queryOf(t, "2026-11-23T10:02:00Z"))
		change(in)
		_, err := service.QueryClicks(asAdmin(t), in)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestPagesHaveWholeAdsAndEveryOneOnce(t *testing.T) {
	service, store, _ := reports(t)
	for id := int64(3); id <= 7; id++ {
		store.ads[id] = testAd(id)
	}
	store.figures = func(q FiguresQuery) Figures {
		var f Figures
		for _, id := range []int64{1, 3, 4, 5, 7} {
			if len(q.AdIDs) == 0 || slices.Contains(q.AdIDs, id) {
				f.Sealed = append(f.Sealed, Figure{AdID: id, Start: at(t, "2026-11-23T10:01:00Z"), Clicks: uint64(id)})
			}
		}
		return f
	}
	for name, c := range map[string]struct {
		asked []int64
		size  int32
		pages [][]int64
	}{
		"two ads of two points": {nil, 5, [][]int64{{1, 3}, {4, 5}, {7}}},
		"one ad at least":       {nil, 1, [][]int64{{1}, {3}, {4}, {5}, {7}}},
		"exactly one page":      {nil, 10, [][]int64{{1, 3, 4, 5, 7}}},
		"those asked for":       {[]int64{7, 2, 3}, 4, [][]int64{{2, 3}, {7}}},
	} {
		in := queryOf(t, "2026-11-23T10:02:00Z")
		in.GroupByAd, in.PageSize, in.AdIds = true, c.size, c.asked
		for i, want := range c.pages {
			got, err := service.QueryClicks(asAdmin(t), in)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var ads []int64
			for k, p := range got.GetPoints() {
				if k%2 == 0 {
					ads = append(ads, p.GetAdId())
				}
			}
			if !slices.Equal(ads, want) || (got.GetNextPageToken() == "") != (i == len(c.pages)-1) {
				t.Errorf("%s: page %d has ads %v, want %v; next %q", name, i, ads, want, got.GetNextPageToken())
			}
			in.PageToken = got.GetNextPageToken()
		}
	}
	in := queryOf(t, "2026-11-23T10:02:00Z")
	in.GroupByAd, in.PageToken = true, pageToken(7)
	if got, err := service.QueryClicks(asAdmin(t), in); err != nil || len(got.GetPoints()) > 0 || got.GetSealedThrough() == nil {
		t.Errorf("behind the last ad: %v, %v", got, err)
	}
}
