package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// slowReports is a store whose figures come when they are let go.
type slowReports struct {
	reportStore
	running, most atomic.Int64
	goOn          chan struct{}
}

func (s *slowReports) Figures(ctx context.Context, _ FiguresQuery) (Figures, error) {
	now := s.running.Add(1)
	defer s.running.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	select {
	case <-s.goOn:
		return Figures{}, nil
	case <-ctx.Done():
		return Figures{}, ctx.Err()
	}
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAThousandReportsAtOnceAskTheStoreForAFewAtATime(t *testing.T) {
	store := &slowReports{goOn: make(chan struct{})}
	guard := &guardedReports{reportStore: store, slots: newReportSlots(8)}
	guard.slots.wait = time.Minute
	var wait sync.WaitGroup
	var answered, refused atomic.Int64
	ask := func(ctx context.Context) {
		wait.Go(func() {
			switch _, err := guard.Figures(ctx, FiguresQuery{}); connect.CodeOf(err) {
			case connect.CodeResourceExhausted:
				refused.Add(1)
			default:
				if err == nil {
					answered.Add(1)
				}
			}
		})
	}
	for key := range int64(1_000) { // of one advertiser, each with another key
		ask(withPrincipal(t.Context(), Principal{Role: click.RoleAdvertiser, AdvertiserID: 7, KeyID: key + 1}))
	}
	waitFor(t, "what finds no place in the line to be refused", func() bool { return refused.Load() == 1_000-reportsWaiting })
	waitFor(t, "its share to be asked", func() bool { return store.running.Load() == 4 })
	for id := range int64(3) { // others do not stand behind them
		ask(asAdvertiser(t, id+100))
	}
	waitFor(t, "others to be asked", func() bool { return store.running.Load() == 7 })
	close(store.goOn)
	wait.Wait()
	if store.most.Load() > 8 || answered.Load() != reportsWaiting+3 {
		t.Errorf("%d at once, %d answered", store.most.Load(), answered.Load())
	}
	if len(guard.slots.tenants) != 0 {
		t.Errorf("%d tenants are remembered", len(guard.slots.tenants))
	}
}

func TestWhoFindsNoSlotIsToldToComeBack(t *testing.T) {
	store := &slowReports{goOn: make(chan struct{})}
	guard := &guardedReports{reportStore: store, slots: newReportSlots(1)}
	guard.slots.wait = time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = guard.Figures(asAdvertiser(t, 1), FiguresQuery{})
	}()
	waitFor(t, "the slot to be taken", func() bool { return store.running.Load() == 1 })
	_, err := guard.Figures(asAdvertiser(t, 2), FiguresQuery{})
	wantCode(t, "no slot", err, connect.CodeResourceExhausted)
	if retryInfo(t, err) <= 0 {
		t.Error("it is not told when")
	}
	over, cancel := context.WithCancel(asAdvertiser(t, 2))
	cancel()
	if _, err := guard.Figures(over, FiguresQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
	close(store.goOn)
	<-done
}

// costly is a store that refuses for a reason.
type costly struct {
	*memoryStore
	err error
}

func (c costly) Figures(context.Context, FiguresQuery) (Figures, error) {
	return Figures{}, fmt.Errorf("read: %w", c.err)
}

func (c costly) TopAds(context.Context, FiguresQuery) ([]AdClicks, error) {
	return nil, fmt.Errorf("read: %w", c.err)
}

func (c costly) ReportedAds(context.Context, FiguresQuery, int64) ([]int64, error) {
	return nil, fmt.Errorf("read: %w", c.err)
}

func TestWhatCostsTooMuchIsToldWhatToAskInstead(t *testing.T) {
	service, store, now := reports(t)
	ask := func(err error, change func(*v1.QueryClicksRequest)) error {
		service.store = &guardedReports{reportStore: costly{store, err}, slots: newReportSlots(8), rowsMax: 100_000_000}
		in := &v1.QueryClicksRequest{
			AdvertiserId: 7, StartTime: timestamppb.New(now.AddDate(0, 0, -80)), EndTime: timestamppb.New(now),
		}
		change(in)
		_, err = service.QueryClicks(asAdmin(t), in)
		return err
	}
	by := func(g v1.Granularity) func(*v1.QueryClicksRequest) {
		return func(in *v1.QueryClicksRequest) { in.Granularity = g }
	}
	minutes := func(days int) func(*v1.QueryClicksRequest) {
		return func(in *v1.QueryClicksRequest) { in.StartTime = timestamppb.New(now.AddDate(0, 0, -days)) }
	}
	for _, c := range []struct {
		err    error
		change func(*v1.QueryClicksRequest)
		code   connect.Code
		want   string
	}{
		{click.ErrTooManyRows, minutes(20), connect.CodeInvalidArgument,
			"more than 100,000,000 rows would have to be read for that: ask by HOUR, or for at most 5 days"},
		{click.ErrTooMuchMemory, minutes(1), connect.CodeInvalidArgument, "more memory than a report may: ask by HOUR, or for at most 6 hours"},
		{context.DeadlineExceeded, by(v1.Granularity_GRANULARITY_HOUR), connect.CodeDeadlineExceeded, "it took too long: ask by DAY, or for at most 20 days"},
		{click.ErrTooManyRows, by(v1.Granularity_GRANULARITY_DAY), connect.CodeInvalidArgument, "ask by WEEK or MONTH, or for at most 20 days"},
		{click.ErrTooManyRows, by(v1.Granularity_GRANULARITY_MONTH), connect.CodeInvalidArgument, "ask for at most 20 days"},
		{click.ErrTooManyRows, func(in *v1.QueryClicksRequest) {
			in.Granularity, in.GroupByAd = v1.Granularity_GRANULARITY_DAY, true
		}, connect.CodeInvalidArgument, "or in pages with page_size"},
		{click.ErrTooManyRows, func(in *v1.QueryClicksRequest) {
			in.Granularity, in.AdIds = v1.Granularity_GRANULARITY_DAY, []int64{1, 2}
		}, connect.CodeInvalidArgument, "or for fewer ads"},
		{click.ErrTooManyRows, func(in *v1.QueryClicksRequest) {
			in.Granularity, in.GroupByAd, in.PageSize = v1.Granularity_GRANULARITY_DAY, true, 100
		}, connect.CodeInvalidArgument, "or for some ads by ad_ids"},
		{click.ErrUnavailable, by(v1.Granularity_GRANULARITY_DAY), connect.CodeUnavailable, "try again"},
	} {
		err := translate(ask(c.err, c.change))
		if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %v: %s", err, c.code, c.want)
		}
	}
	service.store = &guardedReports{reportStore: costly{store, click.ErrTooManyRows}, slots: newReportSlots(8), rowsMax: 100_000_000}
	_, err := service.TopAds(asAdmin(t), &v1.TopAdsRequest{
		AdvertiserId: 7, StartTime: timestamppb.New(now.Add(-2 * time.Hour)), EndTime: timestamppb.New(now),
	})
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "ask for at most an hour") {
		t.Errorf("top ads: %v", err)
	}
}
