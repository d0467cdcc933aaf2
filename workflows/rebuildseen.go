package workflows

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
)

// RebuildSeenID is the id of the one rebuild of the seen index there can be.
const RebuildSeenID = "rebuild-seen"

// JobRebuildSeen is the job of RebuildSeen.
const JobRebuildSeen Job = "rebuild-seen"

const rebuildTimeout = 12 * time.Hour

var rebuildSeen *activities.RebuildSeen // a typed nil: it only names the activities

// RebuildSeenInput is what an operator may give by hand: {"force":true} refills
// an index that is complete already.
type RebuildSeenInput struct {
	Force bool `json:"force,omitempty"`
}

// RebuildSeenResult is what was put into the index.
type RebuildSeenResult struct {
	Impressions     uint64 `json:"impressions"`
	CompleteAlready bool   `json:"complete_already,omitempty"`
}

// RebuildSeen refills the seen index from the store and declares it complete.
// The ingesters wait for it; the stream stays in Kafka meanwhile. It is begun
// anew until it succeeds. Run again on a complete index it changes nothing.
func RebuildSeen(ctx workflow.Context, in RebuildSeenInput) (RebuildSeenResult, error) {
	workflow.SetCurrentDetails(ctx, "refills; the heartbeat of the pending activity says how far it is")
	refilled, err := execute(ctx, optionsFor(stepRefill, "refill the seen index from the store"), rebuildSeen.RefillSeen, activities.RefillSeenInput(in))
	if err != nil {
		return RebuildSeenResult{}, err
	}
	details := fmt.Sprintf("%d impressions, issued since %s", refilled.Impressions, refilled.IssuedSince)
	if len(refilled.Shards) > 0 {
		details += fmt.Sprintf(", in the shards %v", refilled.Shards)
	}
	if refilled.CompleteAlready {
		details = "the index was complete already"
	}
	workflow.SetCurrentDetails(ctx, details)
	return RebuildSeenResult{Impressions: refilled.Impressions, CompleteAlready: refilled.CompleteAlready}, nil
}

// rebuildOptions is how a rebuild is started as a child. It outlives its parent.
func rebuildOptions() workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               RebuildSeenID,
		TaskQueue:                OperationsQueue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionTimeout: rebuildTimeout,
		StaticSummary:            "refills the seen index from the store, after a backfill",
		TypedSearchAttributes:    jobAttributes(JobRebuildSeen),
	}
}

// StartRebuildSeen has the seen index rebuilt. One that is being rebuilt
// already is no error. It does not wait for the end.
func StartRebuildSeen(ctx context.Context, c client.Client) error {
	_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       RebuildSeenID,
		TaskQueue:                OperationsQueue,
		WorkflowExecutionTimeout: rebuildTimeout,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		TypedSearchAttributes:    jobAttributes(JobRebuildSeen),
		StaticSummary:            "refills the seen index from the store",
	}, RebuildSeen, RebuildSeenInput{})
	if err != nil {
		return fmt.Errorf("start %s: %w", RebuildSeenID, err)
	}
	return nil
}
