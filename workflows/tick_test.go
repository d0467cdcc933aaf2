package workflows

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

func windows(from click.Window, count int) []click.Due {
	var due []click.Due
	for ; count > 0; count-- {
		due = append(due, click.Due{Window: from, Reason: click.FirstFlush})
		from = from.Next()
	}
	return due
}

// plans makes each plan the next of the given; the last one stays.
func plans(env *testsuite.TestWorkflowEnvironment, results ...activities.PlanResult) (asked *int) {
	asked = new(int)
	env.OnActivity(flush.PlanFlushes, mock.Anything, activities.PlanInput{Limit: flushesMax}).Return(
		func(context.Context, activities.PlanInput) (activities.PlanResult, error) {
			*asked++
			return results[min(*asked, len(results))-1], nil
		})
	return asked
}

// flushes lets each flush take a while and records the windows as they begin.
// The flush itself is the real one: a mocked child would be over before its
// start is reported.
func flushes(env *testsuite.TestWorkflowEnvironment, takes time.Duration) *[]click.Window {
	started := new([]click.Window)
	var mu sync.Mutex
	env.OnActivity(flush.FixSnapshot, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.SnapshotInput) (activities.SnapshotResult, error) {
			mu.Lock()
			defer mu.Unlock()
			*started = append(*started, in.Window)
			return activities.SnapshotResult{}, nil
		})
	env.OnActivity(flush.AggregateWindow, mock.Anything, mock.Anything).Return(activities.AggregateResult{}, nil).After(takes)
	env.OnActivity(flush.VerifyWindow, mock.Anything, mock.Anything).Return(activities.VerifyResult{}, nil)
	env.OnActivity(flush.SealWindow, mock.Anything, mock.Anything).Return(activities.SealResult{}, nil)
	return started
}

// timed is what a tick returned and how long it ran. The environment's own
// clock goes on until the last abandoned flush is over.
type timed struct {
	Result FlushTickResult
	Took   time.Duration
}

// runTick runs a tick after what comes before it in the same parent.
func runTick(t *testing.T, env *testsuite.TestWorkflowEnvironment, before func(workflow.Context) error) (FlushTickResult, time.Duration) {
	t.Helper()
	parent := func(ctx workflow.Context) (timed, error) {
		if err := before(ctx); err != nil {
			return timed{}, err
		}
		began := workflow.Now(ctx)
		result, err := FlushTick(ctx, FlushTickInput{})
		return timed{result, workflow.Now(ctx).Sub(began)}, err
	}
	env.RegisterWorkflow(parent)
	env.ExecuteWorkflow(parent)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var tick timed
	if err := env.GetWorkflowResult(&tick); err != nil {
		t.Fatal(err)
	}
	return tick.Result, tick.Took
}

func tickResult(t *testing.T, env *testsuite.TestWorkflowEnvironment) (FlushTickResult, time.Duration) {
	t.Helper()
	return runTick(t, env, func(workflow.Context) error { return nil })
}

func TestTickStartsWhatIsDueAndDoesNotWaitForItsEnd(t *testing.T) {
	env, first := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	due := append(windows(first, 2), click.Due{Window: window(t, "2026-11-23T09:00Z"), Reason: click.LateFlush, Late: 312})
	asked := plans(env, activities.PlanResult{Due: due})
	started := flushes(env, time.Hour)
	result, took := tickResult(t, env)
	want := []click.Window{first, first.Next(), window(t, "2026-11-23T09:00Z")}
	slices.SortFunc(*started, func(a, b click.Window) int { return b.Start().Compare(a.Start()) })
	slices.SortFunc(want, func(a, b click.Window) int { return b.Start().Compare(a.Start()) })
	if !slices.Equal(*started, want) || result.Started != 3 || *asked != 1 {
		t.Errorf("started %v after %d plans, result %+v", *started, *asked, result)
	}
	if took > time.Minute {
		t.Errorf("the tick took %v", took)
	}
}

func TestTickWithNothingDueEndsAtOnce(t *testing.T) {
	env := newEnvironment(t)
	asked := plans(env, activities.PlanResult{})
	if result, took := tickResult(t, env); result != (FlushTickResult{}) || *asked != 1 || took > time.Second {
		t.Errorf("%d plans in %v, result %+v", *asked, took, result)
	}
}

func TestTickStaysForAWindowThatWaitsForTheIngester(t *testing.T) {
	env, w := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	waits := activities.PlanResult{Waiting: 1}
	asked := plans(env, waits, waits, activities.PlanResult{Due: windows(w, 1)})
	started := flushes(env, time.Second)
	result, took := tickResult(t, env)
	if !slices.Equal(*started, []click.Window{w}) || *asked != 3 || result.Waiting != 0 {
		t.Errorf("started %v after %d plans, result %+v", *started, *asked, result)
	}
	if took > 3*ingesterWaitPause {
		t.Errorf("the tick took %v", took)
	}
}

func TestTickDoesNotWaitForTheIngesterForEver(t *testing.T) {
	env := newEnvironment(t)
	plans(env, activities.PlanResult{Waiting: 1})
	if result, took := tickResult(t, env); result.Waiting != 1 || took > ingesterWaitMax+2*ingesterWaitPause {
		t.Errorf("the tick took %v, result %+v", took, result)
	}
}

func TestTickStartsAWindowOnce(t *testing.T) {
	env, w := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	plans(env, activities.PlanResult{Due: windows(w, 1), Waiting: 1}) // planned again while it runs
	started := flushes(env, time.Second)
	if result, _ := tickResult(t, env); len(*started) != 1 || result.Started != 1 {
		t.Errorf("started %v, result %+v", *started, result)
	}
}

func TestOneTickCatchesUpAfterAnOutage(t *testing.T) {
	env, first := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	const outage = 180 // minutes
	var rounds []activities.PlanResult
	all := windows(first, outage)
	for i := 0; i < outage; i += flushesMax {
		rounds = append(rounds, activities.PlanResult{Due: all[i : i+flushesMax], More: i+flushesMax < outage})
	}
	asked := plans(env, rounds...)
	started := flushes(env, 5*time.Second)
	result, took := tickResult(t, env)
	if len(*started) != outage || result.Started != outage || *asked != len(rounds) {
		t.Errorf("started %d after %d plans, result %+v", len(*started), *asked, result)
	}
	if took > 2*time.Minute {
		t.Errorf("the tick took %v", took)
	}
}

func TestFlushesThatHangDoNotStopTheTick(t *testing.T) {
	env, first := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	plans(env, activities.PlanResult{Due: windows(first, flushesMax), More: true})
	flushes(env, time.Hour)
	if result, took := tickResult(t, env); result.Started != flushesMax || took > tickTimeout {
		t.Errorf("the tick took %v, result %+v", took, result)
	}
}

func TestAFlushThatRunsAlreadyNeedsNoOther(t *testing.T) {
	env, due := newEnvironment(t), windows(window(t, "2026-11-23T10:05Z"), 2)
	plans(env, activities.PlanResult{Due: due})
	started := flushes(env, time.Hour)
	result, took := runTick(t, env, func(ctx workflow.Context) error {
		in := FlushWindowInput{Window: due[0].Window}
		return child(ctx, flushOptions(due[0], FlushQueue), FlushWindow, in).GetChildWorkflowExecution().Get(ctx, nil)
	})
	if result.Started != 1 || len(*started) != 2 || took > time.Minute {
		t.Errorf("the tick took %v, started %v, result %+v", took, *started, result)
	}
}

func TestAFlushOutlivesItsTickUnderACleanID(t *testing.T) {
	options := flushOptions(click.Due{Window: window(t, "2026-11-23T10:05Z"), Reason: click.LateFlush, Late: 312}, FlushQueue)
	if options.WorkflowID != "flush/2026-11-23T10:05Z" || options.StaticSummary != "late +312" ||
		options.ParentClosePolicy != enumspb.PARENT_CLOSE_POLICY_ABANDON ||
		options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE {
		t.Errorf("options are %+v", options)
	}
}
