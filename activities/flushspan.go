package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

// FlushSpanInput names the minutes to make final.
type FlushSpanInput struct {
	From    click.Window      `json:"from"` // [From, To)
	To      click.Window      `json:"to"`
	Minutes []click.Window    `json:"minutes,omitempty"` // of these only; empty: all of the span
	Reason  click.FlushReason `json:"reason"`
}

// FlushSpanResult is what became final.
type FlushSpanResult struct {
	Minutes  int    `json:"minutes"`
	Clicks   uint64 `json:"clicks"`   // distinct impressions, by minute
	Rows     uint64 `json:"rows"`     // figures, totals included
	Restated uint64 `json:"restated"` // figures that had been final and changed
}

// FlushSpan does for the minutes of a span what FlushWindow does for one, one
// query each for all of them: it reads the committed offsets, then the version,
// then writes restatements, figures and zeros, verifies, and seals. It fails
// benignly while a minute is not sealable.
//
// Each attempt has a snapshot of its own. It is safe beside a FlushWindow of one
// of the minutes: who has the later version has read later offsets and later
// clicks, its rows win, and the other's restatements leave alone what is newer.
func (r *Reconcile) FlushSpan(ctx context.Context, in FlushSpanInput) (FlushSpanResult, error) {
	minutes, err := in.minutes()
	if err != nil || len(minutes) == 0 {
		return FlushSpanResult{}, err
	}
	if minutes[0].Before(click.FlushableFrom(r.Now())) {
		return FlushSpanResult{}, BadInput(fmt.Sprintf("window %s is older than the raw clicks kept", minutes[0]))
	}
	closes := minutes[len(minutes)-1].ClosedAt(r.Lateness)
	if wait := closes.Sub(r.Now()); wait > 0 {
		return FlushSpanResult{}, notReady(fmt.Sprintf("window %s is open until %s", minutes[len(minutes)-1], closes.Format(time.RFC3339)), wait)
	}
	topic, progress, err := progressOf(ctx, r.Stream, r.Ledger, closes)
	if err != nil {
		return FlushSpanResult{}, err
	}
	if !click.Sealable(progress) {
		return FlushSpanResult{}, notReady(fmt.Sprintf("window %s waits for the ingester: %s", minutes[len(minutes)-1], behind(progress)), notReadyWait)
	}
	snapshot := click.SpanSnapshot{Minutes: minutes, TopicID: topic}
	for _, p := range progress {
		snapshot.Checked = append(snapshot.Checked, p.Committed)
	}
	if snapshot.Version, err = r.Ledger.NextVersion(ctx); err != nil {
		return FlushSpanResult{}, err
	}
	return r.flush(ctx, snapshot, in.Reason)
}

// minutes are those to flush, in order.
func (in FlushSpanInput) minutes() ([]click.Window, error) {
	if !click.WithinHour(in.From, in.To) {
		return nil, BadInput(fmt.Sprintf("[%s, %s) is not some minutes of one hour", in.From, in.To))
	}
	minutes := slices.Clone(in.Minutes)
	if len(minutes) == 0 {
		for w := in.From; w.Before(in.To); w = w.Next() {
			minutes = append(minutes, w)
		}
	}
	slices.SortFunc(minutes, func(a, b click.Window) int { return a.Start().Compare(b.Start()) })
	minutes = slices.Compact(minutes)
	if minutes[0].Before(in.From) || !minutes[len(minutes)-1].Before(in.To) {
		return nil, BadInput(fmt.Sprintf("minutes %s to %s are not all in [%s, %s)", minutes[0], minutes[len(minutes)-1], in.From, in.To))
	}
	return minutes, nil
}

func (r *Reconcile) flush(ctx context.Context, snapshot click.SpanSnapshot, reason click.FlushReason) (FlushSpanResult, error) {
	progress, stop := tellProgress(ctx)
	defer stop()
	out := FlushSpanResult{Minutes: len(snapshot.Minutes)}
	var err error
	if out.Restated, err = r.Store.AggregateSpan(ctx, snapshot, reason, progress); err != nil {
		return FlushSpanResult{}, err
	}
	tallies, err := r.Store.VerifySpan(ctx, snapshot, progress)
	if err != nil {
		return FlushSpanResult{}, err
	}
	if err := r.seal(ctx, snapshot, tallies, reason, &out, progress); err != nil {
		return FlushSpanResult{}, err
	}
	return out, nil
}

// seal makes the figures of the minutes final, if each is what it should be.
func (r *Reconcile) seal(
	ctx context.Context, snapshot click.SpanSnapshot, tallies map[click.Window]click.Tally, reason click.FlushReason, out *FlushSpanResult, progress func(string),
) error {
	seals := make([]click.Seal, 0, len(snapshot.Minutes))
	for _, w := range snapshot.Minutes {
		tally := tallies[w]
		if !tally.Agrees() { // somebody flushes the minute too, or it is wrong: the next attempt looks again
			return temporal.NewApplicationError(fmt.Sprintf("window %s: ads sum to %d, totals to %d, but %d impressions are stored",
				w, tally.Ads, tally.Totals, tally.Distinct), ErrorVerification)
		}
		out.Clicks, out.Rows = out.Clicks+tally.Distinct, out.Rows+tally.Rows
		seals = append(seals, click.Seal{Snapshot: snapshot.Of(w), Clicks: tally.Distinct, Rows: tally.Rows, Reason: string(reason)})
	}
	progress("seals")
	if out.Restated > 0 {
		activity.GetLogger(ctx).Info("figures restated", "window", snapshot.Minutes[0].String(), "minutes", out.Minutes, "restated", out.Restated, "reason", reason)
	}
	return r.Store.SealSpan(ctx, seals)
}
