package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

const (
	// spanDaysMax is the length of the longest span, a month.
	spanDaysMax = 31
	// rollupAttemptsMax is how often a span is summed up anew because the sums do
	// not agree, before it fails loudly: each attempt reads all of it.
	rollupAttemptsMax = 5
)

// rollupLedger is the record of what is sealed and of what is rolled up.
type rollupLedger interface {
	MinutesByDay(ctx context.Context, from, before click.Day) ([]click.MinutesOfDay, error)
	MinuteVersions(ctx context.Context, day click.Day) ([]uint64, error)
	Rollups(ctx context.Context, from, before click.Day) (click.RollupLedger, error)
	NextVersion(ctx context.Context) (uint64, error)
	RecordRollup(ctx context.Context, e click.Rolled, seen []uint64) error
}

// sums are computed where the figures are stored.
type sums interface {
	RollUp(ctx context.Context, span click.RollupSpan) error
	VerifyRollup(ctx context.Context, span click.RollupSpan) (click.RollupTally, error)
}

// Rollup is the activities that sum up minutes into hours, days, weeks and
// months.
type Rollup struct {
	Ledger          rollupLedger
	Sums            sums
	MinutesKeptDays int // how long the store keeps figures per minute
	Now             func() time.Time
}

// PlanRollupsInput bounds a plan.
type PlanRollupsInput struct {
	Limit int `json:"limit"` // days
}

// PlanRollupsResult is what is due, the earliest first.
type PlanRollupsResult struct {
	Due  []click.Day `json:"due,omitempty"`
	More bool        `json:"more,omitempty"` // the limit left something out
}

// PlanRollups asks the ledgers which days are due: all their minutes are sealed,
// and one of them again after it was rolled up, if it was; days of long ago too.
// It only reads.
func (r *Rollup) PlanRollups(ctx context.Context, in PlanRollupsInput) (PlanRollupsResult, error) {
	from, today := click.RollableFrom(r.Now(), r.MinutesKeptDays), click.DayOf(r.Now())
	minutes, err := r.Ledger.MinutesByDay(ctx, from, today)
	if err != nil {
		return PlanRollupsResult{}, err
	}
	ledger, err := r.Ledger.Rollups(ctx, from.Add(-spanDaysMax), today.Add(1))
	if err != nil {
		return PlanRollupsResult{}, err
	}
	plan := PlanRollupsResult{Due: click.DueRollups(minutes, ledger)}
	if len(plan.Due) > in.Limit {
		plan.Due, plan.More = plan.Due[:in.Limit], true
	}
	return plan, nil
}

// RollUpInput names a day and the level that it, its week or its month is
// rolled up to.
type RollUpInput struct {
	Day   click.Day   `json:"day"`
	Level click.Level `json:"level"`
}

// RollUpResult is what was written.
type RollUpResult struct {
	// Waits says that nothing was written: other days of the week or month are
	// not rolled up yet. The last of them will do it.
	Waits  bool   `json:"waits,omitempty"`
	Clicks uint64 `json:"clicks"`
	Rows   uint64 `json:"rows"` // figures, totals included
}

// RollUp sums up one span to one level. What it is made of is noted first, then
// the version, then the figures are written and verified, and the entry in the
// ledger comes last: until then nobody reads them in place of finer ones that
// changed. Every attempt begins anew with a version of its own, so it may be
// repeated from anywhere, and of attempts that overlap the one with the older
// data loses.
func (r *Rollup) RollUp(ctx context.Context, in RollUpInput) (RollUpResult, error) {
	step, ok := click.RollupTo(in.Level)
	if !ok {
		return RollUpResult{}, BadInput(fmt.Sprintf("level %q is none of hour, day, week, month", in.Level))
	}
	if from := click.RollableFrom(r.Now(), r.MinutesKeptDays); in.Day.Before(from) {
		return RollUpResult{}, BadInput(fmt.Sprintf(
			"day %s is too old: figures per minute are kept for %d days, and only days from %s on have all of them", in.Day, r.MinutesKeptDays, from))
	}
	entry, seen, waits, err := r.parts(ctx, step, in.Day)
	if err != nil || waits {
		return RollUpResult{Waits: waits}, err
	}
	if entry.Version, err = r.Ledger.NextVersion(ctx); err != nil {
		return RollUpResult{}, err
	}
	first, next := in.Day.Span(in.Level)
	span := click.RollupSpan{Rollup: step, First: first, Next: next, Version: entry.Version}
	if err := r.Sums.RollUp(ctx, span); err != nil {
		return RollUpResult{}, err
	}
	tally, err := r.Sums.VerifyRollup(ctx, span)
	if err != nil {
		return RollUpResult{}, err
	}
	if !tally.Agrees() {
		return RollUpResult{}, disagrees(in, tally, activity.GetInfo(ctx).Attempt)
	}
	entry.Clicks, entry.Rows = tally.Ads, tally.Rows
	if err := r.Ledger.RecordRollup(ctx, entry, seen); err != nil {
		return RollUpResult{}, err
	}
	activity.GetLogger(ctx).Info("rolled up", "day", in.Day.String(), "level", string(in.Level), "clicks", entry.Clicks, "rows", entry.Rows)
	return RollUpResult{Clicks: entry.Clicks, Rows: entry.Rows}, nil
}

// parts is the entry as far as it is known before anything is summed up: what
// the span is made of.
func (r *Rollup) parts(ctx context.Context, step click.Rollup, day click.Day) (entry click.Rolled, seen []uint64, waits bool, err error) {
	first, next := day.Span(step.To)
	entry = click.Rolled{Level: step.To, First: first}
	if step.From == click.PerMinute {
		seen, err = r.sealedMinutes(ctx, day)
		for _, version := range seen {
			entry.Parts += version
			entry.Newest = max(entry.Newest, version)
		}
		return entry, seen, false, err
	}
	ledger, err := r.Ledger.Rollups(ctx, first, next)
	if err != nil {
		return entry, nil, false, err
	}
	if !ledger.Complete(step, day) {
		return entry, nil, true, nil
	}
	parts := ledger.Parts(step, day)
	entry.Parts = click.SumVersions(parts)
	for _, part := range parts {
		entry.Newest = max(entry.Newest, part.Newest)
	}
	return entry, nil, false, nil
}

// sealedMinutes are the versions of a day's seals. Unless all of its minutes are
// sealed there is nothing to roll up yet.
func (r *Rollup) sealedMinutes(ctx context.Context, day click.Day) ([]uint64, error) {
	versions, err := r.Ledger.MinuteVersions(ctx, day)
	if err != nil {
		return nil, err
	}
	for i, version := range versions {
		if version == 0 {
			w := click.WindowOf(day.Start().Add(time.Duration(i) * click.WindowLength))
			return nil, BadInput(fmt.Sprintf("day %s cannot be rolled up yet: window %s is not sealed", day, w))
		}
	}
	return versions, nil
}

// disagrees is retried a few times: a flush between the sums explains it, once.
func disagrees(in RollUpInput, t click.RollupTally, attempt int32) error {
	sentence := fmt.Sprintf("%s of %s: ads sum to %d, totals to %d, but one level below ads sum to %d and totals to %d",
		in.Level, in.Day, t.Ads, t.Totals, t.FromAds, t.FromTotals)
	if t.KnowsSealed {
		sentence += fmt.Sprintf(", and %d clicks were sealed", t.Sealed)
	}
	if attempt >= rollupAttemptsMax {
		return temporal.NewNonRetryableApplicationError(sentence, ErrorVerification, nil)
	}
	return temporal.NewApplicationError(sentence, ErrorVerification)
}
