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

// refillSpan is how many minutes of clicks are read at once; what was refilled
// is remembered after each.
const refillSpan = 15 * time.Minute

// seenIndex is the index that is rebuilt.
type seenIndex interface {
	Missing(ctx context.Context) (shards []int, err error)
	BeginRebuild(ctx context.Context, nonce string, shards []int) (runs string, err error)
	Rebuilding(ctx context.Context, nonce, runs string) (bool, error)
	Remark(ctx context.Context, runs string, ids []click.ImpressionID) (marked int, err error)
	FinishRebuild(ctx context.Context, nonce, runs string) (complete bool, err error)
}

// impressions is the store that knows what was counted.
type impressions interface {
	StreamSpan(ctx context.Context, since, from, to time.Time, each func([]click.ImpressionID) error) error
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
	Force bool `json:"force,omitempty"` // refill all of it all the same
}

// RefillSeenResult is what was put into the index.
type RefillSeenResult struct {
	Impressions     uint64 `json:"impressions"`
	CompleteAlready bool   `json:"complete_already,omitempty"`
	IssuedSince     string `json:"issued_since,omitempty"` // RFC 3339
	// Shards are those that could not be trusted, and were refilled; none by force.
	Shards []int `json:"shards,omitempty"`
}

// refillCursor is how far a rebuild came: its heartbeat, which operators see in
// the UI and the next attempt goes on from.
type refillCursor struct {
	Nonce       string    `json:"nonce"`
	RunID       string    `json:"run_id"` // of the servers, each with its shards that are refilled
	Shards      []int     `json:"shards,omitempty"`
	IssuedSince time.Time `json:"issued_since"`
	Through     time.Time `json:"through"` // the clicks of all minutes before are refilled
	Until       time.Time `json:"until"`   // the last span begins at or before it and has no end
	Impressions uint64    `json:"impressions"`
	PerSecond   uint64    `json:"per_second"` // of this attempt
}

// RefillSeen marks every counted impression that the index must know, in those
// of its shards that cannot be trusted, then declares them complete: what one
// server of several lost is refilled, what the others have is not. Its order is what makes it exact: the nonce is
// in every shard before the store is read, so whatever is lost from then on
// takes the nonce with it, and a click stored after the read is marked by the
// ingester that stored it.
//
// It reads a quarter of an hour of clicks at a time. A next attempt goes on
// where the last one was, as long as its nonce is still in every shard; else it
// begins anew with a nonce of its own. Marking again changes nothing. Memory
// does not grow with the number of impressions.
func (r *RebuildSeen) RefillSeen(ctx context.Context, in RefillSeenInput) (RefillSeenResult, error) {
	at, resumed, err := r.resume(ctx)
	if err != nil {
		return RefillSeenResult{}, err
	}
	if !resumed {
		var shards []int // all
		if !in.Force {
			shards, err = r.Seen.Missing(ctx)
			if err != nil || len(shards) == 0 {
				return RefillSeenResult{CompleteAlready: err == nil}, err
			}
		}
		if at, err = r.begin(ctx, shards); err != nil {
			return RefillSeenResult{}, err
		}
	}
	if err := r.refill(ctx, &at); err != nil {
		return RefillSeenResult{}, err
	}
	complete, err := r.Seen.FinishRebuild(ctx, at.Nonce, at.RunID)
	if err == nil && !complete {
		err = lostWhileRebuilt()
	}
	return RefillSeenResult{Impressions: at.Impressions, IssuedSince: at.IssuedSince.UTC().Format(time.RFC3339), Shards: at.Shards}, err
}

// resume is where the last attempt was, if all that it marked is still there.
func (r *RebuildSeen) resume(ctx context.Context) (at refillCursor, resumed bool, err error) {
	if !activity.HasHeartbeatDetails(ctx) {
		return at, false, nil
	}
	// What another version wrote has no nonce, or cannot be read: begin anew.
	if unread := activity.GetHeartbeatDetails(ctx, &at); unread == nil && at.Nonce != "" {
		resumed, err = r.Seen.Rebuilding(ctx, at.Nonce, at.RunID)
	}
	return at, resumed, err
}

func (r *RebuildSeen) begin(ctx context.Context, shards []int) (refillCursor, error) {
	nonce := rand.Text()
	runID, err := r.Seen.BeginRebuild(ctx, nonce, shards)
	if err != nil {
		return refillCursor{}, err
	}
	now := r.Now()
	since := click.SeenSince(r.Validity, now)
	at := refillCursor{Nonce: nonce, RunID: runID, Shards: shards, IssuedSince: since, Through: click.SeenWindow(since), Until: now}
	activity.RecordHeartbeat(ctx, at)
	return at, nil
}

// refill marks what is stored from at.Through on, and moves at.
func (r *RebuildSeen) refill(ctx context.Context, at *refillCursor) error {
	began, before := time.Now(), at.Impressions
	for last := false; !last; {
		to := at.Through.Add(refillSpan)
		if last = to.After(at.Until); last {
			to = time.Time{} // a gateway's clock may be ahead
		}
		here := *at
		err := r.Impressions.StreamSpan(ctx, at.IssuedSince, at.Through, to, func(ids []click.ImpressionID) error {
			marked, err := r.Seen.Remark(ctx, at.RunID, ids)
			if err != nil {
				return err
			}
			here.Impressions += uint64(marked)
			here.PerSecond = uint64(float64(here.Impressions-before) / time.Since(began).Seconds())
			// The span is not done: a next attempt counts and marks it again.
			shown := *at
			shown.PerSecond = here.PerSecond
			activity.RecordHeartbeat(ctx, shown)
			return nil
		})
		if err != nil || last {
			at.Impressions = here.Impressions
			return err
		}
		going, err := r.Seen.Rebuilding(ctx, at.Nonce, at.RunID)
		if err != nil {
			return err
		}
		if !going {
			return lostWhileRebuilt()
		}
		here.Through = to
		*at = here
		activity.RecordHeartbeat(ctx, *at)
	}
	return nil
}

func lostWhileRebuilt() error {
	return temporal.NewApplicationError("the seen index lost shards while it was rebuilt; starting over", ErrorSeenLost)
}
