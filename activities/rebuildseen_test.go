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
	stored          [][]click.ImpressionID
	since           time.Time
	did             []string
	nonces          []string
}

func (r *rebuilt) Complete(context.Context) (bool, error) { return r.complete, nil }

func (r *rebuilt) BeginRebuild(_ context.Context, nonce string) (string, error) {
	r.did, r.nonces = append(r.did, "begin"), append(r.nonces, nonce)
	return "run", nil
}

func (r *rebuilt) Mark(context.Context, []click.ImpressionID) error {
	r.did = append(r.did, "mark")
	return nil
}

func (r *rebuilt) FinishRebuild(_ context.Context, nonce, runID string) (bool, error) {
	r.did, r.nonces = append(r.did, "finish"), append(r.nonces, nonce)
	return !r.loses && runID == "run", nil
}

func (r *rebuilt) StreamImpressions(_ context.Context, since time.Time, each func([]click.ImpressionID) error) error {
	r.since = since
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
	if want := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC); !r.since.Equal(want) {
		t.Errorf("reads from %v, want %v: validity and six hours back", r.since, want)
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
	if _, err := r.refill(t, RefillSeenInput{Force: true}); err != nil || len(r.did) == 0 {
		t.Errorf("force did %v: %v", r.did, err)
	}
}
