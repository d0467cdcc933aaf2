package workflows

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"clickledger/activities"
	"clickledger/internal/click"
)

// functionName is the name a function is registered by.
func functionName(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

func newEnvironment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	Register(env)
	env.RegisterActivity(&activities.Flush{})
	env.SetTestTimeout(30 * time.Second)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 30 * time.Second}) // on a machine that compiles, a second is not long
	return env
}

func window(t *testing.T, text string) click.Window {
	t.Helper()
	w, err := click.ParseWindow(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func flushResult(t *testing.T, env *testsuite.TestWorkflowEnvironment, in FlushWindowInput) (FlushWindowResult, error) {
	t.Helper()
	env.ExecuteWorkflow(FlushWindow, in)
	if !env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not complete")
	}
	if err := env.GetWorkflowError(); err != nil {
		return FlushWindowResult{}, err
	}
	var result FlushWindowResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}

func errorType(err error) string {
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		return application.Type()
	}
	return ""
}

func TestFlushHandsOneSnapshotToEveryStep(t *testing.T) {
	env, w := newEnvironment(t), window(t, "2026-11-23T10:05Z")
	snapshot := click.Snapshot{Window: w, TopicID: "topic", Checked: click.Offsets{4, 5}, Version: 99}
	fixed := activities.SnapshotResult{Snapshot: snapshot, WasFinal: true}
	env.OnActivity(flush.FixSnapshot, mock.Anything, activities.SnapshotInput{Window: w}).Return(fixed, nil).Once()
	env.OnActivity(flush.AggregateWindow, mock.Anything, activities.AggregateInput{SnapshotResult: fixed, Reason: click.LateFlush}).
		Return(activities.AggregateResult{Restated: 3}, nil).Once()
	env.OnActivity(flush.VerifyWindow, mock.Anything, activities.VerifyInput{Snapshot: snapshot}).
		Return(activities.VerifyResult{Tally: click.Tally{Ads: 7, Totals: 7, Distinct: 7, Rows: 2}}, nil).Once()
	env.OnActivity(flush.SealWindow, mock.Anything, activities.SealInput{
		Seal: click.Seal{Snapshot: snapshot, Clicks: 7, Rows: 2, Reason: "late +312"},
	}).Return(activities.SealResult{}, nil).Once()

	result, err := flushResult(t, env, FlushWindowInput{Window: w, Reason: click.LateFlush, Late: 312})
	if want := (FlushWindowResult{Clicks: 7, Rows: 2, Restated: 3}); err != nil || result != want {
		t.Errorf("result is %+v, %v; want %+v", result, err, want)
	}
	env.AssertExpectations(t)
}

func TestFlushThatDisagreesIsBegunAnewAndThenFailsLoudly(t *testing.T) {
	for _, one := range []struct {
		name  string
		wrong int // verifications that disagree
		fails bool
	}{{"heals", verificationsMax - 1, false}, {"fails", verificationsMax, true}} {
		t.Run(one.name, func(t *testing.T) {
			env := newEnvironment(t)
			snapshots, verified := 0, 0
			env.OnActivity(flush.FixSnapshot, mock.Anything, mock.Anything).Return(
				func(_ context.Context, in activities.SnapshotInput) (activities.SnapshotResult, error) {
					snapshots++
					return activities.SnapshotResult{Snapshot: click.Snapshot{Window: in.Window, Version: uint64(snapshots)}}, nil
				})
			env.OnActivity(flush.AggregateWindow, mock.Anything, mock.Anything).Return(activities.AggregateResult{}, nil)
			env.OnActivity(flush.VerifyWindow, mock.Anything, mock.Anything).Return(
				func(_ context.Context, in activities.VerifyInput) (activities.VerifyResult, error) {
					if verified++; in.Snapshot.Version != uint64(verified) {
						t.Errorf("verification %d is of version %d", verified, in.Snapshot.Version)
					}
					tally := click.Tally{Ads: 7, Totals: 7, Distinct: 7}
					if verified <= one.wrong {
						tally.Ads = 6
					}
					return activities.VerifyResult{Tally: tally}, nil
				})
			env.OnActivity(flush.SealWindow, mock.Anything, mock.Anything).Return(activities.SealResult{}, nil)
			_, err := flushResult(t, env, FlushWindowInput{Window: window(t, "2026-11-23T10:05Z"), Reason: click.FirstFlush})
			if one.fails && (errorType(err) != activities.ErrorVerification || !strings.Contains(err.Error(), "ads sum to 6")) || !one.fails && err != nil {
				t.Errorf("the flush ended with %v", err)
			}
		})
	}
}

func TestFlushWaitsUntilTheWindowIsSealable(t *testing.T) {
	env, asked := newEnvironment(t), 0
	env.OnActivity(flush.FixSnapshot, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.SnapshotInput) (activities.SnapshotResult, error) {
			if asked++; asked < 8 {
				return activities.SnapshotResult{}, temporal.NewApplicationError("waits for the ingester", activities.ErrorNotReady)
			}
			return activities.SnapshotResult{}, nil
		})
	env.OnActivity(flush.AggregateWindow, mock.Anything, mock.Anything).Return(activities.AggregateResult{}, nil)
	env.OnActivity(flush.VerifyWindow, mock.Anything, mock.Anything).Return(activities.VerifyResult{}, nil)
	env.OnActivity(flush.SealWindow, mock.Anything, mock.Anything).Return(activities.SealResult{}, nil)
	if _, err := flushResult(t, env, FlushWindowInput{Window: window(t, "2026-11-23T10:05Z")}); err != nil {
		t.Error(err)
	}
}

func TestFlushRefusesBadInputInWords(t *testing.T) {
	for sentence, in := range map[string]FlushWindowInput{
		"no window given":  {Reason: click.RepairFlush},
		`reason "because"`: {Window: window(t, "2026-11-23T10:05Z"), Reason: "because"},
	} {
		_, err := flushResult(t, newEnvironment(t), in)
		if errorType(err) != activities.ErrorBadInput || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

func TestFlushOfAnotherTopicFailsAtOnce(t *testing.T) {
	env, asked := newEnvironment(t), 0
	env.OnActivity(flush.FixSnapshot, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.SnapshotInput) (activities.SnapshotResult, error) {
			asked++
			return activities.SnapshotResult{}, temporal.NewNonRetryableApplicationError("another topic", activities.ErrorOtherTopic, nil)
		})
	_, err := flushResult(t, env, FlushWindowInput{Window: window(t, "2026-11-23T10:05Z")})
	if errorType(err) != activities.ErrorOtherTopic || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}
