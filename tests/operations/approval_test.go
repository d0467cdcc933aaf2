package operations

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/tests/poll"
	"clickledger/workflows"
)

const approvalQueue = "stage"

// doubles are a lake and a store of which 20,000 clicks differ until they are
// repaired. The fleet's own could differ only over an archived hour, and that
// takes minutes; the drills do it.
type doubles struct{}

func (doubles) FixLake(_ context.Context, in activities.FixLakeInput) (activities.FixLakeResult, error) {
	return activities.FixLakeResult{Snapshot: click.LakeSnapshot{From: in.From, To: in.To}}, nil
}

func (doubles) CompareLake(_ context.Context, in activities.CompareLakeInput) (activities.CompareLakeResult, error) {
	c := click.Comparison{Lake: 100_000, Store: 100_000, Figures: 100_000}
	if in.Pass == 1 {
		c.Store, c.Figures, c.Missing, c.Places = 80_000, 80_000, 20_000, 60
		c.Minutes = []click.MinuteDelta{{Minute: in.Snapshot.From, Lake: 100_000, Store: 80_000, Figures: 80_000, Missing: 20_000}}
	}
	return activities.CompareLakeResult{Comparison: c}, nil
}

func (doubles) RepairClicks(context.Context, activities.RepairClicksInput) (activities.RepairClicksResult, error) {
	return activities.RepairClicksResult{Inserted: 20_000}, nil
}

func (doubles) FlushSpan(context.Context, activities.FlushSpanInput) (activities.FlushSpanResult, error) {
	return activities.FlushSpanResult{Minutes: 1, Clicks: 100_000, Rows: 2, Restated: 2}, nil
}

func (doubles) RecordReconciliation(context.Context, activities.RecordReconciliationInput) (activities.RecordReconciliationResult, error) {
	return activities.RecordReconciliationResult{}, nil
}

// await sets the stage with a reconciliation that waits to be approved: the
// workflow itself, over doubles, on a queue of its own.
func (s *stage) await(t *testing.T, temporal client.Client) {
	t.Helper()
	w := worker.New(temporal, approvalQueue, worker.Options{})
	workflows.Register(w)
	w.RegisterActivity(&doubles{})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	hour := click.HourOf(time.Now().Add(-24 * time.Hour))
	options := client.StartWorkflowOptions{ID: workflows.ReconcileHourID(hour), TaskQueue: approvalQueue}
	if _, err := temporal.ExecuteWorkflow(t.Context(), options, workflows.ReconcileHour, workflows.ReconcileHourInput{Hour: hour}); err != nil {
		t.Fatal(err)
	}
	err := poll.Until(t.Context(), stageTimeout, stageInterval, func(ctx context.Context) error {
		counted, err := temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Query: fmt.Sprintf("%s = '%s'", workflows.StateAttribute, workflows.StateWaitsForApproval),
		})
		if err == nil && counted.GetCount() != 1 {
			err = fmt.Errorf("%d reconciliations wait to be approved", counted.GetCount())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
