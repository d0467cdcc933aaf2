package activities

import (
	"context"

	"clickledger/internal/click"
)

// RebuildFiguresInput names what is read, and why.
type RebuildFiguresInput struct {
	Snapshot click.LakeSnapshot `json:"snapshot"`
	Reason   click.FlushReason  `json:"reason"`
}

// RebuildFigures makes the figures of a span what the lake counts, and seals its
// minutes. It is for spans whose raw clicks are gone from the store, or about to
// go: these are neither read nor written. The same snapshot again rewrites the
// same rows.
func (r *Reconcile) RebuildFigures(ctx context.Context, in RebuildFiguresInput) (FlushSpanResult, error) {
	plan, err := r.plan(ctx, in.Snapshot)
	if err != nil {
		return FlushSpanResult{}, err
	}
	progress, stop := tellProgress(ctx)
	defer stop()
	tallies, restated, err := r.Store.RebuildFigures(ctx, in.Snapshot, plan, in.Reason, progress)
	if err != nil {
		return FlushSpanResult{}, err
	}
	span := in.Snapshot.Span()
	out := FlushSpanResult{Minutes: len(span.Minutes), Restated: restated}
	if err := r.seal(ctx, span, tallies, in.Reason, &out, progress); err != nil {
		return FlushSpanResult{}, err
	}
	return out, nil
}
