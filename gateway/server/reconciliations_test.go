package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// memoryRecord is what reconciliations told, the newest first, and found, in order.
type memoryRecord struct {
	start  click.Window
	spans  []click.ReconciledSpan
	told   []click.ToldReconciliation
	found  []click.FoundDiscrepancy
	asked  click.ReconciliationsQuery
	askedD click.DiscrepanciesQuery
}

func (m *memoryStore) Reconciled(context.Context) (click.Reconciled, error) {
	defer m.mu.Unlock()
	err := m.enter()
	return click.NewReconciled(m.record.start, m.record.spans), err
}

func (m *memoryStore) Reconciliations(_ context.Context, q click.ReconciliationsQuery) ([]click.ToldReconciliation, error) {
	defer m.mu.Unlock()
	m.record.asked = q
	from := 0
	for q.After != nil && from < len(m.record.told) && !m.record.told[from].At.Before(q.After.At) {
		from++
	}
	return m.record.told[from:min(from+q.Limit, len(m.record.told))], m.enter()
}

func (m *memoryStore) Discrepancies(_ context.Context, q click.DiscrepanciesQuery) ([]click.FoundDiscrepancy, error) {
	defer m.mu.Unlock()
	m.record.askedD = q
	from := 0
	for q.After != nil && from < len(m.record.found) && m.record.found[from].AdID <= q.After.AdID {
		from++
	}
	return m.record.found[from:min(from+q.Limit, len(m.record.found))], m.enter()
}

func testHour() click.Window {
	return click.HourOf(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
}

func TestReconciliationsAreListedInPages(t *testing.T) {
	g, hour := newGateway(t), testHour()
	for i := range 5 {
		g.store.record.told = append(g.store.record.told, click.ToldReconciliation{
			At: hour.Start().Add(-time.Duration(i) * time.Microsecond),
			Reconciliation: click.Reconciliation{
				Run: fmt.Sprint("run-", i), From: hour, To: click.HourEnd(hour), State: click.ReconciledRepaired, Reason: "so", DryRun: true,
				Before:   click.Comparison{Lake: 9, Store: 8, Figures: 7, Missing: 3, Surplus: 2, Places: 5, WrongFigures: 1, Minutes: []click.MinuteDelta{{Minute: hour, Lake: 4, Store: 3, Figures: 2, Missing: 2, Surplus: 1}}},
				Inserted: 3, Deleted: 2, Restated: 6, Snapshot: click.LakeSnapshot{Lost: 11},
			},
		})
	}
	g.store.record.told[0].After = &click.Comparison{Lake: 9, Store: 9, Figures: 9}
	var runs []string
	request := &v1.ListReconciliationsRequest{
		PageSize: 2, StartTime: timestamppb.New(hour.Start()), EndTime: timestamppb.New(hour.End()),
		State: v1.ReconciliationState_RECONCILIATION_STATE_REPAIRED,
	}
	var first *v1.Reconciliation
	for {
		page, err := g.as(testAdminKey).ListReconciliations(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetReconciliations() {
			if first == nil {
				first = r
			}
			runs = append(runs, r.GetRunId())
		}
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			break
		}
	}
	if strings.Join(runs, " ") != "run-0 run-1 run-2 run-3 run-4" {
		t.Errorf("listed %v", runs)
	}
	asked := g.store.record.asked
	if !asked.From.Equal(hour.Start()) || !asked.To.Equal(hour.End()) || asked.State != click.ReconciledRepaired || asked.After.Run != "run-3" {
		t.Errorf("asked %+v", asked)
	}
	if b := first.GetBefore(); b.GetLake() != 9 || b.GetStore() != 8 || b.GetFigures() != 7 || b.GetMissing() != 3 || b.GetSurplus() != 2 || b.GetPlaces() != 5 ||
		b.GetWrongFigures() != 1 || len(b.GetMinutes()) != 1 || b.GetMinutes()[0].GetFigures() != 2 || !b.GetMinutes()[0].GetMinute().AsTime().Equal(hour.Start()) {
		t.Errorf("before is %v", b)
	}
	if first.GetAfter().GetFigures() != 9 || first.GetInserted() != 3 || first.GetDeleted() != 2 || first.GetRestated() != 6 || first.GetLost() != 11 ||
		first.GetReason() != "so" || !first.GetDryRun() || first.GetState() != v1.ReconciliationState_RECONCILIATION_STATE_REPAIRED ||
		first.GetReport() != "reports/reconcile/dt=2026-11-23/hour=10/run-0.json" || !first.GetEndTime().AsTime().Equal(hour.Start().Add(time.Hour)) {
		t.Errorf("the first is %v", first)
	}
}

func TestDiscrepanciesAreListedInPages(t *testing.T) {
	g, hour := newGateway(t), testHour()
	for i := range int64(5) {
		g.store.record.found = append(g.store.record.found, click.FoundDiscrepancy{
			Run: "run", Pass: 1, At: hour.End(),
			Discrepancy: click.Discrepancy{
				AdvertiserID: 7, AdID: i + 1, Minute: hour, Lake: 5, Store: 4, Figure: 3, Missing: 2, Surplus: 1,
				MissingSamples: []string{"m"}, SurplusSamples: []string{"s"},
			},
		})
	}
	var ads []int64
	request := &v1.ListDiscrepanciesRequest{PageSize: 2, AdvertiserId: 7, AdId: 8, RunId: "run"}
	for {
		page, err := g.as(testAdminKey).ListDiscrepancies(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.GetDiscrepancies() {
			ads = append(ads, d.GetAdId())
			if d.GetLake() != 5 || d.GetStore() != 4 || d.GetFigure() != 3 || d.GetMissing() != 2 || d.GetSurplus() != 1 || d.GetRunId() != "run" || d.GetPass() != 1 ||
				fmt.Sprint(d.GetMissingSamples(), d.GetSurplusSamples()) != "[m] [s]" || !d.GetMinute().AsTime().Equal(hour.Start()) {
				t.Errorf("listed %v", d)
			}
		}
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			break
		}
	}
	if fmt.Sprint(ads) != "[1 2 3 4 5]" {
		t.Errorf("listed %v", ads)
	}
	if asked := g.store.record.askedD; asked.AdvertiserID != 7 || asked.AdID != 8 || asked.Run != "run" || asked.After.AdID != 4 || asked.After.Minute != hour {
		t.Errorf("asked %+v", asked)
	}
}

func TestWhatDiffersIsForAdminsAndAskedForWithinLimits(t *testing.T) {
	g, hour := newGateway(t), testHour()
	_, advertisers, _ := g.advertiser(t)
	start, end := timestamppb.New(hour.Start()), timestamppb.New(hour.End())
	for name, one := range map[string]struct {
		key          string
		start, end   *timestamppb.Timestamp
		size         int32
		token        string
		want         connect.Code
		wantSentence string
	}{
		"nobody":               {"", nil, nil, 0, "", connect.CodeUnauthenticated, ""},
		"an advertiser":        {advertisers, nil, nil, 0, "", connect.CodePermissionDenied, ""},
		"a page too large":     {testAdminKey, nil, nil, 1001, "", connect.CodeInvalidArgument, "page_size"},
		"a negative page":      {testAdminKey, nil, nil, -1, "", connect.CodeInvalidArgument, "page_size"},
		"an end before":        {testAdminKey, end, start, 0, "", connect.CodeInvalidArgument, "end_time must be after start_time"},
		"no time at all":       {testAdminKey, start, start, 0, "", connect.CodeInvalidArgument, "end_time must be after start_time"},
		"before 1970":          {testAdminKey, timestamppb.New(time.Unix(-1, 0)), end, 0, "", connect.CodeInvalidArgument, "start_time must be from 1970"},
		"long after":           {testAdminKey, start, timestamppb.New(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)), 0, "", connect.CodeInvalidArgument, "end_time must be"},
		"a token of nobody":    {testAdminKey, nil, nil, 0, "!", connect.CodeInvalidArgument, "page_token is not one"},
		"a token of its own":   {testAdminKey, nil, nil, 0, "e30", connect.CodeInvalidArgument, "page_token is not one"},
		"a token, much of it":  {testAdminKey, nil, nil, 0, strings.Repeat("e", 401), connect.CodeInvalidArgument, "page_token"},
		"a token of no object": {testAdminKey, nil, nil, 0, "bnVsbA", connect.CodeInvalidArgument, "page_token is not one"},
	} {
		_, err := g.as(one.key).ListReconciliations(t.Context(), &v1.ListReconciliationsRequest{StartTime: one.start, EndTime: one.end, PageSize: one.size, PageToken: one.token})
		wantCode(t, name+" lists reconciliations", err, one.want)
		_, errD := g.as(one.key).ListDiscrepancies(t.Context(), &v1.ListDiscrepanciesRequest{StartTime: one.start, EndTime: one.end, PageSize: one.size, PageToken: one.token})
		wantCode(t, name+" lists discrepancies", errD, one.want)
		if !strings.Contains(err.Error(), one.wantSentence) || !strings.Contains(errD.Error(), one.wantSentence) {
			t.Errorf("%s: %v; %v; want %q", name, err, errD, one.wantSentence)
		}
	}
	for name, request := range map[string]*v1.ListDiscrepanciesRequest{
		"a negative advertiser": {AdvertiserId: -1}, "a negative ad": {AdId: -1}, "no run": {RunId: "it's"},
	} {
		_, err := g.as(testAdminKey).ListDiscrepancies(t.Context(), request)
		wantCode(t, name, err, connect.CodeInvalidArgument)
	}
	_, err := g.as(testAdminKey).ListReconciliations(t.Context(), &v1.ListReconciliationsRequest{State: 17})
	wantCode(t, "a state there is not", err, connect.CodeInvalidArgument)
	g.store.goAway()
	_, err = g.as(testAdminKey).ListReconciliations(t.Context(), &v1.ListReconciliationsRequest{})
	wantCode(t, "the store is away", err, connect.CodeUnavailable)
	_, err = g.as(testAdminKey).ListDiscrepancies(t.Context(), &v1.ListDiscrepanciesRequest{})
	wantCode(t, "the store is away", err, connect.CodeUnavailable)
}

func TestStatusTellsHowFarLakeAndStoreAgree(t *testing.T) {
	g := newGateway(t)
	now := time.Now().UTC()
	g.store.sealed = now.Truncate(time.Minute)
	hour := click.HourOf(now.Add(-2 * time.Hour))
	g.store.record.start = click.WindowOf(hour.Start().Add(17 * time.Minute))
	status := func(what, degraded string) time.Time {
		t.Helper()
		got, err := g.as(testAdminKey).GetStatus(t.Context(), &v1.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		sentence := ""
		for _, mode := range got.GetDegradedModes() {
			if mode.GetPart() == "reconcile" {
				sentence = mode.GetMessage()
			}
		}
		if !strings.Contains(sentence, degraded) || (degraded == "") != (sentence == "") {
			t.Errorf("%s: it said %q, want %q", what, sentence, degraded)
		}
		if got.GetReconciledThrough() == nil {
			return time.Time{}
		}
		return got.GetReconciledThrough().AsTime()
	}
	if got := status("nothing yet", ""); !got.IsZero() {
		t.Errorf("nothing yet: through %s", got)
	}
	span := click.ReconciledSpan{From: hour, To: click.HourEnd(hour), State: click.ReconciledClean, At: now}
	g.store.record.spans = []click.ReconciledSpan{span}
	if got := status("the first hour is clean", ""); !got.Equal(click.HourEnd(hour).Start()) {
		t.Errorf("the first hour is clean: through %s", got)
	}
	advertiser, key, _ := g.advertiser(t)
	report, err := g.as(key).QueryClicks(t.Context(), &v1.QueryClicksRequest{
		AdvertiserId: advertiser, StartTime: timestamppb.New(hour.Start()), EndTime: timestamppb.New(hour.End()),
	})
	if err != nil || !report.GetReconciledThrough().AsTime().Equal(click.HourEnd(hour).Start()) {
		t.Errorf("a report tells %v, %v", report, err)
	}
	span.State, span.At, span.Reason = click.ReconciledDiffers, now.Add(time.Second), "waits for approve-repair: 5 of 10 clicks"
	g.store.record.spans = append(g.store.record.spans, span)
	if got := status("it differs", "waits for approve-repair: 5 of 10 clicks"); !got.IsZero() {
		t.Errorf("it differs: through %s", got)
	}
	g.store.record.spans, g.store.record.start = nil, click.WindowOf(now.Add(-4*time.Hour))
	status("long ago, without a lake", "")
	g.archive.set(click.ArchiveState{Through: now}, nil)
	status("long ago", "known to agree only up to 4h")
}
