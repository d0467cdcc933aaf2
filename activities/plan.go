package activities

import (
	"context"
	"sort"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

// PlanInput bounds a plan.
type PlanInput struct {
	Limit int // windows
}

// PlanResult is what is due, the earliest first.
type PlanResult struct {
	Due []click.Due
	// More says that the limit left something out.
	More bool
	// Waiting is how many closed windows wait for the ingester.
	Waiting int
	// Held is how many of those wait only for the journals of gateways.
	Held int
	// TooOld is how many unsealed windows are older than the raw clicks kept and
	// wait for a rebuild from the lake.
	TooOld int
}

// PlanFlushes asks the ledger what is due: closed windows without a seal, from
// the ledger's start in order, up to the first that waits for the ingester;
// then sealed windows that got late clicks. It only reads. With nothing due it
// costs a few small queries and does not ask Kafka.
func (f *Flush) PlanFlushes(ctx context.Context, in PlanInput) (PlanResult, error) {
	through, err := f.Ledger.SealedThrough(ctx)
	if err != nil {
		return PlanResult{}, err
	}
	if through.IsZero() {
		return PlanResult{}, temporal.NewApplicationError("the ledger has no start: run setup", ErrorNoLedger)
	}
	now := f.Now()
	oldest, open := click.FlushableFrom(now), click.WindowOf(now.Add(-f.Lateness))
	unsealed, err := f.Ledger.UnsealedWindows(ctx, click.WindowOf(through), open)
	if err != nil {
		return PlanResult{}, err
	}
	plan := PlanResult{}
	for len(unsealed) > 0 && unsealed[0].Before(oldest) {
		plan.TooOld++
		unsealed = unsealed[1:]
	}
	if plan.TooOld > 0 {
		activity.GetLogger(ctx).Error("windows are older than the raw clicks kept; rebuild them from the lake", "windows", plan.TooOld)
	}
	sealable, err := f.sealable(ctx, unsealed)
	if err != nil {
		return PlanResult{}, err
	}
	free := f.notHeld(ctx, unsealed[:sealable], now)
	plan.Held, sealable = sealable-free, free
	plan.Waiting = len(unsealed) - sealable
	for _, w := range unsealed[:sealable] {
		plan.Due = append(plan.Due, click.Due{Window: w, Reason: click.FirstFlush})
	}
	if len(plan.Due) <= in.Limit {
		dirty, err := f.Ledger.DirtyWindows(ctx, oldest, open, in.Limit+1)
		if err != nil {
			return PlanResult{}, err
		}
		plan.Due = append(plan.Due, dirty...)
	}
	if len(plan.Due) > in.Limit {
		plan.Due, plan.More = plan.Due[:in.Limit], true
	}
	return plan, nil
}

// notHeld is how many of the windows, from the first on, no journal may hold
// clicks of. Who cannot be asked holds nothing back: what is drained later is
// late, and restated.
func (f *Flush) notHeld(ctx context.Context, windows []click.Window, now time.Time) int {
	if len(windows) == 0 {
		return 0
	}
	gateways, err := f.Gateways.List(ctx)
	if err != nil {
		activity.GetLogger(ctx).Warn("journals are not waited for", "error", err)
		return len(windows)
	}
	for i, w := range windows {
		if click.HeldBack(w, w.ClosedAt(f.Lateness), gateways, now) {
			return i
		}
	}
	return len(windows)
}

// sealable is how many of the windows, from the first on, are sealable. What is
// required only grows with time, so if the last one is, all are: one question
// in the usual case, a binary search after an outage.
func (f *Flush) sealable(ctx context.Context, windows []click.Window) (int, error) {
	if len(windows) == 0 {
		return 0, nil
	}
	check := func(w click.Window) (bool, error) {
		_, progress, err := progressOf(ctx, f.Stream, f.Ledger, w.ClosedAt(f.Lateness))
		return click.Sealable(progress), err
	}
	if all, err := check(windows[len(windows)-1]); err != nil || all {
		return len(windows), err
	}
	var failed error
	first := sort.Search(len(windows)-1, func(i int) bool {
		if failed != nil {
			return true
		}
		ready, err := check(windows[i])
		failed = err
		return !ready
	})
	return first, failed
}
