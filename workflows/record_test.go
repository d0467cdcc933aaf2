//go:build record

package workflows

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/durationpb"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/stacktest"
)

// Records histories on the real Temporal server, of the real workflows over
// activities that only answer, into testdata/histories:
//
//	go test -count=1 -tags record -run TestRecord ./workflows
//
// A history that is there stays: those of older code must replay too.
func TestRecord(t *testing.T) {
	r := newRecorder(t)
	r.reconciliations(t)
	r.backfills(t)
	r.cleanUp(t)
	r.catalogue(t)
}

const recorderIdentity = "worker"

// recorder is a Temporal namespace of its own with a worker.
type recorder struct {
	client client.Client
	day    click.Window // a day whose hours are all over

	mu      sync.Mutex
	refused map[click.Window]bool // hours
	slow    chan struct{}         // comparisons wait until it is closed; nil: they do not
	agreed  map[click.Window]bool // hours
	due     []click.Window
	daysDue []click.Day // to be rolled up
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	c := stacktest.Config(t)
	temporalClient, err := client.Dial(client.Options{
		HostPort: c.TemporalAddr, Namespace: c.TemporalNamespace(), Identity: recorderIdentity,
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(temporalClient.Close)
	_, err = temporalClient.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: c.TemporalNamespace(), WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "temporal namespace", func(ctx context.Context) error {
		_, err := temporalClient.OperatorService().DeleteNamespace(ctx, &operatorservice.DeleteNamespaceRequest{Namespace: c.TemporalNamespace()})
		return err
	})
	r := &recorder{
		client: temporalClient, day: click.WindowOf(time.Now().Add(-48 * time.Hour).UTC().Truncate(24 * time.Hour)),
		refused: map[click.Window]bool{}, agreed: map[click.Window]bool{},
	}
	r.attributes(t, c.TemporalNamespace())
	w := worker.New(temporalClient, OperationsQueue, worker.Options{Identity: recorderIdentity})
	Register(w)
	r.register(w)
	r.registerCatalogue(w)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return r
}

// attributes adds the search attributes and waits until they are known.
func (r *recorder) attributes(t *testing.T, namespace string) {
	t.Helper()
	until(t, "search attributes", func() error {
		_, err := r.client.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
			Namespace: namespace,
			SearchAttributes: map[string]enumspb.IndexedValueType{
				JobAttribute: enumspb.INDEXED_VALUE_TYPE_KEYWORD, WindowAttribute: enumspb.INDEXED_VALUE_TYPE_DATETIME,
				StateAttribute: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
			},
		})
		return err
	})
	until(t, "known search attributes", func() error {
		run, err := r.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: "probe", TaskQueue: "nobody",
			TypedSearchAttributes: temporal.NewSearchAttributes(append(windowAttributes(JobTick, r.day),
				temporal.NewSearchAttributeKeyKeyword(StateAttribute).ValueSet("probe"))...),
		}, "Probe")
		if err == nil {
			err = r.client.TerminateWorkflow(t.Context(), run.GetID(), run.GetRunID(), "known")
		}
		return err
	})
}

// until tries for a minute.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answers makes an activity of a name out of a function.
func answers[In, Out any](w worker.Worker, name string, f func(context.Context, In) (Out, error)) {
	w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
}

func (r *recorder) register(w worker.Worker) {
	answers(w, "PlanReconciliations", func(context.Context, activities.PlanReconciliationsInput) (activities.PlanReconciliationsResult, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return activities.PlanReconciliationsResult{Due: r.due, Waiting: "the next hour is not archived yet"}, nil
	})
	answers(w, "PlanRollups", func(context.Context, activities.PlanRollupsInput) (activities.PlanRollupsResult, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return activities.PlanRollupsResult{Due: r.daysDue}, nil
	})
	answers(w, "RollUp", func(context.Context, activities.RollUpInput) (activities.RollUpResult, error) {
		return activities.RollUpResult{Clicks: 100, Rows: 3}, nil
	})
	answers(w, "FixLake", func(_ context.Context, in activities.FixLakeInput) (activities.FixLakeResult, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refused[click.HourOf(in.From.Start())] {
			return activities.FixLakeResult{}, temporal.NewNonRetryableApplicationError("object clicks/clicks-3-0-99.parquet of manifest "+in.From.String()+" is not there",
				activities.ErrorLakeIncomplete, nil)
		}
		return activities.FixLakeResult{Snapshot: click.LakeSnapshot{From: in.From, To: in.To, TopicID: "topic", Archived: click.Offsets{100}, Version: 1}}, nil
	})
	answers(w, "CompareLake", func(ctx context.Context, in activities.CompareLakeInput) (activities.CompareLakeResult, error) {
		r.mu.Lock()
		agreed, slow := r.agreed[click.HourOf(in.Snapshot.From.Start())], r.slow
		r.mu.Unlock()
		if slow != nil {
			select {
			case <-slow:
			case <-ctx.Done():
				return activities.CompareLakeResult{}, ctx.Err()
			}
		}
		if agreed {
			return activities.CompareLakeResult{Comparison: click.Comparison{Lake: 100, Store: 100, Figures: 100}}, nil
		}
		from := in.Snapshot.From
		return activities.CompareLakeResult{Comparison: click.Comparison{
			Lake: 100, Store: 99, Figures: 99, Missing: 2, Surplus: 1, Places: 2,
			Minutes: []click.MinuteDelta{{Minute: from, Lake: 10, Store: 9, Figures: 9, Missing: 2, Surplus: 1}},
		}}, nil
	})
	answers(w, "RepairClicks", func(_ context.Context, in activities.RepairClicksInput) (activities.RepairClicksResult, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.agreed[click.HourOf(in.Snapshot.From.Start())] = true
		return activities.RepairClicksResult{Inserted: 2, Deleted: 1}, nil
	})
	answers(w, "FlushSpan", func(_ context.Context, in activities.FlushSpanInput) (activities.FlushSpanResult, error) {
		return activities.FlushSpanResult{Minutes: 1, Clicks: 100, Rows: 4, Restated: 2}, nil
	})
	answers(w, "RecordReconciliation", func(context.Context, activities.RecordReconciliationInput) (activities.RecordReconciliationResult, error) {
		return activities.RecordReconciliationResult{}, nil
	})
	answers(w, "StageTail", func(_ context.Context, in activities.StageTailInput) (activities.StageTailResult, error) {
		at := in.Before.Start().Add(-time.Minute)
		span := click.OffsetSpan{First: 100, Next: 110}
		return activities.StageTailResult{Tail: click.LakeTail{TopicID: "topic", First: click.Offsets{100}, Next: click.Offsets{110}, Objects: []click.LakeObject{{
			Path: click.StagedObjectPath(in.Run, 0, span), OffsetSpan: span, Rows: 10, Bytes: 1000, ClickedMin: at, ClickedMax: at, AppendedMin: at, AppendedMax: at,
		}}}}, nil
	})
	answers(w, "RemoveTail", func(context.Context, activities.RemoveTailInput) (activities.RemoveTailResult, error) {
		return activities.RemoveTailResult{Removed: 1}, nil
	})
	answers(w, "RefillSeen", func(context.Context, activities.RefillSeenInput) (activities.RefillSeenResult, error) {
		return activities.RefillSeenResult{Impressions: 100, IssuedSince: "2026-11-22T06:00:00Z"}, nil
	})
	answers(w, "ListLeftoverDays", func(context.Context, activities.ListLeftoverDaysInput) (activities.ListLeftoverDaysResult, error) {
		return activities.ListLeftoverDaysResult{Days: []string{"2026-11-22"}}, nil
	})
	answers(w, "RemoveLeftovers", func(context.Context, activities.RemoveLeftoversInput) (activities.RemoveLeftoversResult, error) {
		return activities.RemoveLeftoversResult{Objects: 12}, nil
	})
	answers(w, "RemoveStaged", func(context.Context, activities.RemoveStagedInput) (activities.RemoveStagedResult, error) {
		return activities.RemoveStagedResult{Removed: 3, Bytes: 3000}, nil
	})
}

// registerCatalogue answers for imports of two chunks and two slices, the first
// object new, of the second one row changed.
func (r *recorder) registerCatalogue(w worker.Worker) {
	answers(w, "PlanImport", func(_ context.Context, in activities.PlanImportInput) (activities.ImportPlan, error) {
		return activities.ImportPlan{ID: "import-1", Rows: 20, Version: 7, File: click.AdFile{
			Path: in.Object, Format: click.AdsParquet, ETag: "tag", Bytes: 1000, Modified: r.day.Start(),
		}}, nil
	})
	answers(w, "LoadAds", func(_ context.Context, in activities.LoadAdsInput) (activities.LoadAdsResult, error) {
		if in.Plan.File.Path == "replaced.parquet" {
			return activities.LoadAdsResult{}, temporal.NewNonRetryableApplicationError("the object was replaced meanwhile", activities.ErrorReplaced, nil)
		}
		out := activities.LoadAdsResult{Next: click.AdCursor{Row: in.From.Row + 10}, End: in.From.Row == 10, Rows: 10, Staged: 10}
		if out.End {
			out.Staged, out.Refused, out.Listed = 9, 1, []click.RefusedRow{{Row: 15, AdID: 5, Reason: "landing_url has no host"}}
		}
		return out, nil
	})
	answers(w, "MergeAds", func(ctx context.Context, in activities.MergeAdsInput) (activities.MergeAdsResult, error) {
		r.mu.Lock()
		slow := r.slow
		r.mu.Unlock()
		if slow != nil {
			select {
			case <-slow:
			case <-ctx.Done():
				return activities.MergeAdsResult{}, ctx.Err()
			}
		}
		if in.After == 0 {
			return activities.MergeAdsResult{Through: 500, Rows: 10, Created: 10}, nil
		}
		return activities.MergeAdsResult{Through: 1000, End: true, Rows: 9, Created: 5, Updated: 2, Unchanged: 1, Newer: 1}, nil
	})
	answers(w, "AnnounceImport", func(context.Context, activities.AnnounceImportInput) (activities.AnnounceImportResult, error) {
		return activities.AnnounceImportResult{}, nil
	})
	answers(w, "EndImport", func(context.Context, activities.EndImportInput) (activities.EndImportResult, error) {
		return activities.EndImportResult{}, nil
	})
	answers(w, "SyncAds", func(_ context.Context, in activities.SyncAdsInput) (activities.SyncAdsResult, error) {
		return activities.SyncAdsResult{Through: in.After + 100, Ads: 100, Full: in.After == 200}, nil
	})
	answers(w, "ExportTable", func(_ context.Context, in activities.ExportTableInput) (activities.ExportTableResult, error) {
		return activities.ExportTableResult{Exported: click.ExportedTable{Table: in.Table, Files: []click.ExportFile{}}}, nil
	})
	answers(w, "PublishExport", func(context.Context, activities.PublishExportInput) (activities.PublishExportResult, error) {
		return activities.PublishExportResult{}, nil
	})
	answers(w, "PruneExports", func(context.Context, activities.PruneExportsInput) (activities.PruneExportsResult, error) {
		return activities.PruneExportsResult{}, nil
	})
}

// hour is one of the day.
func (r *recorder) hour(n int) click.Window {
	return click.HourOf(r.day.Start().Add(time.Duration(n) * time.Hour))
}

func (r *recorder) with(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// start starts a workflow as the CLI does: the input is text.
func (r *recorder) start(t *testing.T, id, workflowType, input string) client.WorkflowRun {
	t.Helper()
	run, err := r.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: OperationsQueue}, workflowType, json.RawMessage(input))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (r *recorder) update(t *testing.T, id, name string, args ...any) {
	t.Helper()
	until(t, name, func() error { // it may be refused until the workflow waits for it
		handle, err := r.client.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			return err
		}
		return handle.Get(t.Context(), nil)
	})
}

// progress waits until the Query answers as is.
func (r *recorder) progress(t *testing.T, id string, is func(BackfillProgress) bool) {
	t.Helper()
	until(t, "progress", func() error {
		value, err := r.client.QueryWorkflow(t.Context(), id, "", ProgressQuery)
		if err != nil {
			return err
		}
		var p BackfillProgress
		if err := value.Get(&p); err != nil {
			return err
		}
		if !is(p) {
			return fmt.Errorf("progress %+v", p)
		}
		return nil
	})
}

// keep waits for a run's end, which must be as wanted, and writes its history.
func (r *recorder) keep(t *testing.T, name, id, runID, errorWanted string) {
	t.Helper()
	err := r.client.GetWorkflow(t.Context(), id, runID).GetWithOptions(t.Context(), nil, client.WorkflowRunGetOptions{DisableFollowingRuns: true})
	var renewed *workflow.ContinueAsNewError
	kind := errorType(err)
	switch {
	case errors.As(err, &renewed):
		kind = "ContinuedAsNew"
	case temporal.IsCanceledError(err):
		kind = "Canceled"
	}
	if kind != errorWanted || kind == "" && err != nil {
		t.Errorf("%s ended with %v", name, err)
		return
	}
	t.Logf("%s: %v", name, err)
	history := &historypb.History{}
	events := r.client.GetWorkflowHistory(t.Context(), id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		history.Events = append(history.Events, event)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(history)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(historiesDir, name+".json")
	if _, err := os.Stat(file); err == nil {
		t.Logf("%s is there already and stays", file)
		return
	}
	if err := os.WriteFile(file, append(bytes.TrimSpace(text), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *recorder) reconciliations(t *testing.T) {
	r.with(func() {
		r.agreed[r.hour(0)], r.refused[r.hour(2)] = true, true
		r.due = []click.Window{r.hour(0), r.hour(1), r.hour(2)}
	})
	tick := r.start(t, ReconcileScheduleID, "ReconcileTick", `{}`)
	r.keep(t, "ReconcileTick-plans", tick.GetID(), tick.GetRunID(), "")
	r.keep(t, "ReconcileHour-clean", ReconcileHourID(r.hour(0)), "", "")
	r.keep(t, "ReconcileHour-repaired", ReconcileHourID(r.hour(1)), "", "")
	r.keep(t, "ReconcileHour-refused", ReconcileHourID(r.hour(2)), "", activities.ErrorLakeIncomplete)

	asks := func(n int, more string) string {
		r.start(t, ReconcileHourID(r.hour(n)), "ReconcileHour", fmt.Sprintf(`{"hour":%q%s}`, r.hour(n), more))
		return ReconcileHourID(r.hour(n))
	}
	id := asks(3, `,"repair_limit_clicks":0`)
	r.update(t, id, ApproveRepairUpdate, DecisionInput{Note: "checked"})
	r.keep(t, "ReconcileHour-waits-and-approved", id, "", "")
	id = asks(4, `,"repair_limit_clicks":0`)
	r.update(t, id, DeclineRepairUpdate) // without input, as from the CLI
	r.keep(t, "ReconcileHour-waits-and-declined", id, "", "")
	id = asks(4, `,"repair_limit_clicks":0`)
	until(t, "the question", func() error { return r.waits(t, id) })
	if err := r.client.CancelWorkflow(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	r.keep(t, "ReconcileHour-waits-and-cancelled", id, "", "Canceled")
	id = asks(4, `,"dry_run":true,"to":"`+r.hour(4).Next().String()+`"`)
	r.keep(t, "ReconcileHour-dry-run", id, "", "")
	id = asks(4, `,"dryrun":true`)
	r.keep(t, "ReconcileHour-bad-input", id, "", activities.ErrorBadInput)
}

// waits reports whether a reconciliation waits for approval, as operators find
// it.
func (r *recorder) waits(t *testing.T, id string) error {
	t.Helper()
	list, err := r.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("%s = %q and WorkflowId = %q", StateAttribute, StateWaitsForApproval, id),
	})
	if err == nil && len(list.GetExecutions()) != 1 {
		err = fmt.Errorf("%d wait", len(list.GetExecutions()))
	}
	return err
}

func (r *recorder) backfills(t *testing.T) {
	backfill := func(from, to int, more string) client.WorkflowRun {
		return r.start(t, fmt.Sprintf("backfill/%s_%s", r.hour(from), r.hour(to)), "Backfill",
			fmt.Sprintf(`{"from":%q,"to":%q%s}`, r.hour(from), r.hour(to), more))
	}
	run := backfill(5, 7, "")
	r.keep(t, "Backfill-happy", run.GetID(), run.GetRunID(), "")
	r.with(func() { r.daysDue = []click.Day{click.DayOf(r.day.Start())} })
	run = backfill(5, 6, "")
	r.keep(t, "Backfill-rolled-up", run.GetID(), run.GetRunID(), "")
	r.with(func() { r.daysDue = nil })
	run = backfill(7, 9, `,"dry_run":true,"parallelism":2`)
	r.keep(t, "Backfill-dry-run", run.GetID(), run.GetRunID(), "")

	slow := make(chan struct{})
	r.with(func() { r.slow = slow })
	run = backfill(7, 10, "")
	r.progress(t, run.GetID(), func(p BackfillProgress) bool { return len(p.Running) == 1 })
	r.update(t, run.GetID(), PauseUpdate)
	r.with(func() { r.slow = nil })
	close(slow)
	r.progress(t, run.GetID(), func(p BackfillProgress) bool { return len(p.Running) == 0 && p.State == StatePaused })
	r.update(t, run.GetID(), SetParallelismUpdate, SetParallelismInput{Parallelism: 2})
	r.update(t, run.GetID(), ResumeUpdate)
	r.keep(t, "Backfill-paused-and-resumed", run.GetID(), run.GetRunID(), "")

	run = backfill(10, 13, `,"chunks_per_run":2`)
	r.keep(t, "Backfill-continued-as-new", run.GetID(), run.GetRunID(), "ContinuedAsNew")
	r.keep(t, "Backfill-continued", run.GetID(), "", "")

	slow = make(chan struct{})
	r.with(func() { r.slow = slow })
	run = backfill(13, 16, "")
	r.progress(t, run.GetID(), func(p BackfillProgress) bool { return len(p.Running) == 1 })
	if err := r.client.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
		t.Fatal(err)
	}
	r.keep(t, "Backfill-cancelled", run.GetID(), run.GetRunID(), "Canceled")
	r.with(func() { r.slow = nil })
	close(slow)

	r.with(func() { r.refused[r.hour(17)] = true })
	run = backfill(16, 19, "")
	r.progress(t, run.GetID(), func(p BackfillProgress) bool { return p.State == StateWaitsForRetry })
	r.with(func() { r.refused[r.hour(17)] = false })
	r.update(t, run.GetID(), RetryFailedUpdate)
	r.keep(t, "Backfill-failed-chunk-then-retried", run.GetID(), run.GetRunID(), "")

	run = r.start(t, "backfill/bad", "Backfill", `{"from":"yesterday"}`)
	r.keep(t, "Backfill-bad-input", run.GetID(), run.GetRunID(), activities.ErrorBadInput)
}

func (r *recorder) cleanUp(t *testing.T) {
	run := r.start(t, CleanScheduleID, "CleanLake", `{}`)
	r.keep(t, "CleanLake-staged", run.GetID(), run.GetRunID(), "")
}

func (r *recorder) catalogue(t *testing.T) {
	run := r.start(t, "import/ads", "ImportAds", `{"object":"ads.parquet"}`)
	r.keep(t, "ImportAds-happy", run.GetID(), run.GetRunID(), "")
	run = r.start(t, "import/dry-run", "ImportAds", `{"object":"ads.parquet","dry_run":true}`)
	r.keep(t, "ImportAds-dry-run", run.GetID(), run.GetRunID(), "")
	run = r.start(t, "import/replaced", "ImportAds", `{"object":"replaced.parquet"}`)
	r.keep(t, "ImportAds-replaced", run.GetID(), run.GetRunID(), activities.ErrorReplaced)
	run = r.start(t, "import/bad", "ImportAds", `{"object":"ads.parquet","dryrun":true}`)
	r.keep(t, "ImportAds-bad-input", run.GetID(), run.GetRunID(), activities.ErrorBadInput)
	run = r.start(t, "sync-catalogue", "SyncCatalogue", `{}`)
	r.keep(t, "SyncCatalogue-full", run.GetID(), run.GetRunID(), "")

	slow := make(chan struct{})
	r.with(func() { r.slow = slow })
	run = r.start(t, "import/cancelled", "ImportAds", `{"object":"ads.parquet"}`)
	until(t, "the slices", func() error {
		value, err := r.client.QueryWorkflow(t.Context(), run.GetID(), "", ProgressQuery)
		if err != nil {
			return err
		}
		var p ImportProgress
		if err := value.Get(&p); err != nil || p.State != importWrites {
			return fmt.Errorf("progress %+v, %w", p, err)
		}
		return nil
	})
	if err := r.client.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
		t.Fatal(err)
	}
	r.keep(t, "ImportAds-cancelled", run.GetID(), run.GetRunID(), "Canceled")
	r.with(func() { r.slow = nil })
	close(slow)
}
