package activities

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/internal/click"
)

// rebuilt is a seen index and a store that write down what is asked of them.
type rebuilt struct {
	complete, loses bool
	wiped           bool // in the middle
	spans           [][2]time.Time
	before          *refillCursor // of an earlier attempt
	stored          [][]click.ImpressionID
	since           time.Time
	did             []string
	nonces          []string
	shards          []int
}

func (r *rebuilt) Missing(context.Context) ([]int, error) {
	if r.complete {
		return nil, nil
	}
	return []int{2, 7}, nil
}

func (r *rebuilt) BeginRebuild(_ context.Context, nonce string, shards []int) (string, error) {
	r.did, r.nonces, r.shards = append(r.did, "begin"), append(r.nonces, nonce), shards
	return "run", nil
}

func (r *rebuilt) Remark(_ context.Context, runs string, ids []click.ImpressionID) (int, error) {
	r.did = append(r.did, "mark")
	if runs != "run" {
		return 0, errors.New("marks for another rebuild")
	}
	return len(ids), nil
}

func (r *rebuilt) FinishRebuild(_ context.Context, nonce, runID string) (bool, error) {
	r.did, r.nonces = append(r.did, "finish"), append(r.nonces, nonce)
	return !r.loses && runID == "run", nil
}

func (r *rebuilt) Rebuilding(_ context.Context, nonce, runID string) (bool, error) {
	return !r.wiped && runID == "run", nil
}

// StreamSpan has all that is stored in the last span, which has no end.
func (r *rebuilt) StreamSpan(_ context.Context, since, from, to time.Time, each func([]click.ImpressionID) error) error {
	r.since = since
	r.spans = append(r.spans, [2]time.Time{from, to})
	if !to.IsZero() {
		return nil
	}
	for _, block := range r.stored {
		if err := each(block); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuilt) refill(t *testing.T, in RefillSeenInput) (result RefillSeenResult, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	if r.before != nil {
		env.SetHeartbeatDetails(*r.before)
	}
	rebuild := &RebuildSeen{
		Seen: r, Impressions: r, Validity: 24 * time.Hour,
		Now: func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) },
	}
	env.RegisterActivity(rebuild)
	value, err := env.ExecuteActivity(rebuild.RefillSeen, in)
	if err != nil {
		return result, err
	}
	return result, value.Get(&result)
}

func TestRefillBeginsBeforeItReadsAndFinishesLast(t *testing.T) {
	r := &rebuilt{stored: [][]click.ImpressionID{make([]click.ImpressionID, 3), make([]click.ImpressionID, 2)}}
	result, err := r.refill(t, RefillSeenInput{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"begin", "mark", "mark", "finish"}; !slices.Equal(r.did, want) {
		t.Errorf("did %v, want %v", r.did, want)
	}
	if result.Impressions != 5 || r.nonces[0] != r.nonces[1] {
		t.Errorf("refilled %d with nonces %v", result.Impressions, r.nonces)
	}
	if want := []int{2, 7}; !slices.Equal(r.shards, want) || !slices.Equal(result.Shards, want) {
		t.Errorf("refilled the shards %v and said %v, want %v: those that are missing", r.shards, result.Shards, want)
	}
	if want := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC); !r.since.Equal(want) {
		t.Errorf("reads from %v, want %v: validity and six hours back", r.since, want)
	}
}

func TestRefillReadsEveryMinuteOnceAndTheLastWithoutEnd(t *testing.T) {
	r := &rebuilt{}
	if _, err := r.refill(t, RefillSeenInput{}); err != nil {
		t.Fatal(err)
	}
	if want := click.SeenWindow(r.since); !r.spans[0][0].Equal(want) {
		t.Errorf("reads from %v, want %v", r.spans[0][0], want)
	}
	for i, span := range r.spans[1:] {
		if !span[0].Equal(r.spans[i][1]) {
			t.Errorf("after the span to %v comes one from %v", r.spans[i][1], span[0])
		}
	}
	if last := r.spans[len(r.spans)-1]; !last[1].IsZero() {
		t.Errorf("the last span ends at %v", last[1])
	}
}

func TestNextAttemptGoesOnUnlessSomethingWasLost(t *testing.T) {
	until := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	before := &refillCursor{Nonce: "earlier", RunID: "run", IssuedSince: until.Add(-30 * time.Hour), Through: until.Add(-time.Hour), Until: until, Impressions: 40}
	r := &rebuilt{before: before, stored: [][]click.ImpressionID{make([]click.ImpressionID, 2)}}
	result, err := r.refill(t, RefillSeenInput{})
	if err != nil || result.Impressions != 42 || !slices.Equal(r.did, []string{"mark", "finish"}) || r.nonces[0] != "earlier" {
		t.Errorf("result %+v after %v with nonces %v: %v", result, r.did, r.nonces, err)
	}
	if !r.spans[0][0].Equal(before.Through) {
		t.Errorf("goes on from %v, want %v", r.spans[0][0], before.Through)
	}
	r = &rebuilt{before: before, wiped: true}
	_, err = r.refill(t, RefillSeenInput{})
	var lost *temporal.ApplicationError
	if !errors.As(err, &lost) || lost.Type() != ErrorSeenLost || !slices.Equal(r.did, []string{"begin"}) || len(r.spans) != 1 {
		t.Errorf("did %v, read %v: %v; want a new beginning that stops at the first span", r.did, r.spans, err)
	}
}

func TestRefillThatLostAShardIsTriedAgainWithANewNonce(t *testing.T) {
	r := &rebuilt{loses: true}
	for range 2 {
		_, err := r.refill(t, RefillSeenInput{})
		var lost *temporal.ApplicationError
		if !errors.As(err, &lost) || lost.Type() != ErrorSeenLost || lost.NonRetryable() {
			t.Fatalf("got %v, want a retryable %s", err, ErrorSeenLost)
		}
	}
	if r.nonces[0] == r.nonces[2] {
		t.Error("the second attempt has the first one's nonce")
	}
}

func TestCompleteIndexIsRefilledOnlyByForce(t *testing.T) {
	r := &rebuilt{complete: true}
	result, err := r.refill(t, RefillSeenInput{})
	if err != nil || !result.CompleteAlready || len(r.did) != 0 {
		t.Errorf("result %+v after %v: %v", result, r.did, err)
	}
	if _, err := r.refill(t, RefillSeenInput{Force: true}); err != nil || len(r.did) == 0 || r.shards != nil {
		t.Errorf("force did %v for the shards %v: %v", r.did, r.shards, err)
	}
}
