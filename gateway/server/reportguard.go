package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/semaphore"

	"clickledger/internal/click"
)

const (
	reportWaitMax  = 5 * time.Second
	reportsWaiting = 64 // of one tenant; more are refused at once
)

var errReportsBusy = errors.New("too many reports are being read just now: try again in a moment")

// tenant is for whom a report is read: all keys of an advertiser are one, so
// that another key is no way around a limit.
type tenant struct{ advertiserID, keyID int64 }

func tenantOf(p Principal) tenant {
	if p.Role == click.RoleAdvertiser {
		return tenant{advertiserID: p.AdvertiserID}
	}
	return tenant{keyID: p.KeyID}
}

// reportSlots bounds how many questions the store is asked at a time, and how
// many of them for one tenant. Whoever finds no slot free waits in line for a
// moment: with a tenant's own first, so that a thousand questions of one do not
// stand before another's. It is safe for concurrent use.
type reportSlots struct {
	all  *semaphore.Weighted
	max  int64
	wait time.Duration

	mu      sync.Mutex
	tenants map[tenant]*tenantSlots // those that have one or wait
}

type tenantSlots struct {
	slots *semaphore.Weighted
	users int // have one or wait
}

func newReportSlots(atOnce int) *reportSlots {
	return &reportSlots{
		all: semaphore.NewWeighted(int64(atOnce)), max: int64(atOnce), wait: reportWaitMax, tenants: map[tenant]*tenantSlots{},
	}
}

// take waits for a slot, which is to be given back. Its errors are for the client.
func (s *reportSlots) take(ctx context.Context) (giveBack func(), err error) {
	of := tenantOf(principalOf(ctx))
	own, ok := s.enter(of)
	if !ok {
		return nil, exhausted(errReportsBusy, reportWaitMax)
	}
	waiting, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if err := own.slots.Acquire(waiting, 1); err != nil {
		s.leave(of, own)
		return nil, busyOr(ctx)
	}
	if err := s.all.Acquire(waiting, 1); err != nil {
		own.slots.Release(1)
		s.leave(of, own)
		return nil, busyOr(ctx)
	}
	return func() {
		s.all.Release(1)
		own.slots.Release(1)
		s.leave(of, own)
	}, nil
}

// busyOr is why no slot became free: the caller's own time was over, or too
// many were before it.
func busyOr(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return exhausted(errReportsBusy, time.Second)
}

func (s *reportSlots) enter(of tenant) (own *tenantSlots, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, known := s.tenants[of]
	if !known {
		share := max(s.max/2, 1)
		if of == (tenant{}) {
			share = s.max // the operator
		}
		own = &tenantSlots{slots: semaphore.NewWeighted(share)}
		s.tenants[of] = own
	}
	if own.users >= reportsWaiting {
		return nil, false
	}
	own.users++
	return own, true
}

func (s *reportSlots) leave(of tenant, own *tenantSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.tenants, of)
	}
}

// guardedReports is a store that is asked no more than reportSlots allows, and
// whose refusals are told with what to ask instead.
type guardedReports struct {
	reportStore
	slots   *reportSlots
	rowsMax uint64
}

// Figures is reportStore's.
func (g *guardedReports) Figures(ctx context.Context, q FiguresQuery) (out Figures, err error) {
	err = g.ask(ctx, coarser(q), func() error {
		out, err = g.reportStore.Figures(ctx, q)
		return err
	})
	return out, err
}

// ReportedAds is reportStore's.
func (g *guardedReports) ReportedAds(ctx context.Context, q FiguresQuery, after int64) (out []int64, err error) {
	err = g.ask(ctx, shorter(q)+", or for some ads by ad_ids", func() error {
		out, err = g.reportStore.ReportedAds(ctx, q, after)
		return err
	})
	return out, err
}

// TopAds is reportStore's.
func (g *guardedReports) TopAds(ctx context.Context, q FiguresQuery) (out []AdClicks, err error) {
	err = g.ask(ctx, shorter(q), func() error {
		out, err = g.reportStore.TopAds(ctx, q)
		return err
	})
	return out, err
}

// Corrections is reportStore's.
func (g *guardedReports) Corrections(ctx context.Context, q CorrectionsQuery) (out []click.Correction, err error) {
	err = g.ask(ctx, shorter(FiguresQuery{From: q.From, To: q.To})+", or for some ads by ad_ids", func() error {
		out, err = g.reportStore.Corrections(ctx, q)
		return err
	})
	return out, err
}

func (g *guardedReports) ask(ctx context.Context, instead string, question func() error) error {
	giveBack, err := g.slots.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	err = question()
	switch {
	case errors.Is(err, click.ErrTooManyRows):
		return invalidf("more than %s rows would have to be read for that: ask %s", thousands(int(g.rowsMax)), instead)
	case errors.Is(err, click.ErrTooMuchMemory):
		return invalidf("that takes more memory than a report may: ask %s", instead)
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, click.ErrUnavailable):
		return connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("it took too long: ask %s", instead))
	default:
		return err
	}
}

// coarser is what to ask in the place of q.
func coarser(q FiguresQuery) string {
	instead := shorter(q)
	switch step := stepOf(q); {
	case step <= time.Minute:
		instead = "by HOUR, or " + instead
	case step <= time.Hour:
		instead = "by DAY, or " + instead
	case step <= 25*time.Hour: // of a day that is put back
		instead = "by WEEK or MONTH, or " + instead
	}
	if q.ByAd && len(q.AdIDs) == 0 {
		return instead + ", or in pages with page_size"
	}
	if len(q.AdIDs) > 1 {
		return instead + ", or for fewer ads"
	}
	return instead
}

// stepOf is how far the points of q are apart. The first and the last may be
// cut short.
func stepOf(q FiguresQuery) time.Duration {
	switch n := len(q.Starts); {
	case n == 0:
		return time.Minute
	case n > 2:
		return q.Starts[2].Sub(q.Starts[1])
	case n == 2:
		return max(q.Starts[1].Sub(q.Starts[0]), q.To.Sub(q.Starts[1]))
	default:
		return q.To.Sub(q.From)
	}
}

// shorter is a quarter of the time asked for, in words.
func shorter(q FiguresQuery) string {
	const day = 24 * time.Hour
	switch quarter := q.To.Sub(q.From) / 4; {
	case quarter >= 2*day:
		return fmt.Sprintf("for at most %d days", quarter/day)
	case quarter >= 2*time.Hour:
		return fmt.Sprintf("for at most %d hours", quarter/time.Hour)
	default:
		return "for at most an hour"
	}
}
