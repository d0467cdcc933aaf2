package activities

import (
	"context"
	"crypto/rand"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

// ErrorSeenLost is the type of the error of a rebuild that lost what it had
// built: the index was wiped meanwhile, or another rebuild took over.
const ErrorSeenLost = "SeenLost"

// seenIndex is the index that is rebuilt.
type seenIndex interface {
	Complete(ctx context.Context) (bool, error)
	BeginRebuild(ctx context.Context, nonce string) (runID string, err error)
	Mark(ctx context.Context, ids []click.ImpressionID) error
	FinishRebuild(ctx context.Context, nonce, runID string) (complete bool, err error)
}

// impressions is the store that knows what was counted.
type impressions interface {
	StreamImpressions(ctx context.Context, since time.Time, each func([]click.ImpressionID) error) error
}

// RebuildSeen is the activities that refill the seen index from the store.
type RebuildSeen struct {
	Seen        seenIndex
	Impressions impressions
	Validity    time.Duration    // of click tokens
	Now         func() time.Time // the wall clock
}

// RefillSeenInput says what to do with an index that is complete already.
type RefillSeenInput struct {
	Force bool `json:"force,omitempty"` // refill it all the same
}

// RefillSeenResult is what was put into the index.
type RefillSeenResult struct {
	Impressions     uint64 `json:"impressions"`
	CompleteAlready bool   `json:"complete_already,omitempty"`
	IssuedSince     string `json:"issued_since,omitempty"` // RFC 3339
}

// RefillSeen marks every counted impression that the index must know, then
// declares the index complete. Its order is what makes it exact: the nonce is
// in every shard before the store is read, so whatever is lost from then on
// takes the nonce with it, and a click stored after the read is marked by the
// ingester that stored it.
//
// Each attempt begins anew, with a nonce of its own; marking again changes
// nothing. Memory does not grow with the number of impressions.
func (r *RebuildSeen) RefillSeen(ctx context.Context, in RefillSeenInput) (RefillSeenResult, error) {
	if !in.Force {
		complete, err := r.Seen.Complete(ctx)
		if complete || err != nil {
			return RefillSeenResult{CompleteAlready: complete}, err
		}
	}
	nonce := rand.Text()
	runID, err := r.Seen.BeginRebuild(ctx, nonce)
	if err != nil {
		return RefillSeenResult{}, err
	}
	since := click.SeenSince(r.Validity, r.Now())
	result := RefillSeenResult{IssuedSince: since.UTC().Format(time.RFC3339)}
	activity.RecordHeartbeat(ctx, result)
	err = r.Impressions.StreamImpressions(ctx, since, func(ids []click.ImpressionID) error {
		if err := r.Seen.Mark(ctx, ids); err != nil {
			return err
		}
		result.Impressions += uint64(len(ids))
		activity.RecordHeartbeat(ctx, result)
		return nil
	})
	if err != nil {
		return RefillSeenResult{}, err
	}
	complete, err := r.Seen.FinishRebuild(ctx, nonce, runID)
	if err == nil && !complete {
		err = temporal.NewApplicationError("the seen index lost shards while it was rebuilt; starting over", ErrorSeenLost)
	}
	return result, err
}
