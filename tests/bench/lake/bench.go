package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/s3"
	"clickledger/tests/report"
)

const (
	closeTimeout    = 2 * time.Minute
	activityTimeout = time.Hour
	lateness        = 10 * time.Second
)

// stream stands for Kafka, of which only the committed offsets are asked.
type stream struct {
	topic     string
	committed click.Offsets
}

func (s *stream) Progress(context.Context, time.Time) (string, []click.PartitionProgress, error) {
	progress := make([]click.PartitionProgress, len(s.committed))
	for p, offset := range s.committed {
		progress[p] = click.PartitionProgress{Partition: int32(p), Committed: offset, Required: offset}
	}
	return s.topic, progress, nil
}

// bench is one measurement under way.
type bench struct {
	settings settings
	config   config.Config
	lake     *s3.Lake
	store    *clickhouse.Store
	hour     click.Window
	stream   *stream
	engine   *activities.Reconcile
	env      *testsuite.TestActivityEnvironment
	result   result
}

func newBench(ctx context.Context, c config.Config, s settings) (*bench, error) {
	lake, err := s3.Open(c)
	if err != nil {
		return nil, err
	}
	store, err := clickhouse.Open(c)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	b := &bench{settings: s, config: c, lake: lake, store: store, hour: click.HourOf(now.Add(-2 * time.Hour)), stream: &stream{topic: "bench"}}
	b.result = result{Origin: report.NewOrigin(now), Clicks: s.Clicks, HoursBefore: s.HoursBefore, Ads: s.Ads}
	b.engine = &activities.Reconcile{
		Stream: b.stream, Lake: lake, Ledger: store, Store: store, Validity: c.TokenValidity, Lateness: lateness, Now: time.Now,
	}
	b.env = quietEnvironment()
	b.env.RegisterActivity(b.engine)
	err = clickhouse.Migrate(ctx, c)
	if err == nil {
		_, err = store.StartLedger(ctx, click.WindowOf(now))
	}
	if err == nil {
		_, err = lake.Ensure(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// quietEnvironment runs activities as a worker does.
func quietEnvironment() *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(activityTimeout)
	return env
}

// close removes what was made, also when the measurement was interrupted.
func (b *bench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := errors.Join(b.store.Close(), clickhouse.DropDatabase(ctx, b.config))
	if b.settings.Keep != "" {
		return err
	}
	return errors.Join(err, b.lake.Drop(ctx))
}

// do runs an activity as a worker does.
func do[In, Out any](b *bench, activity func(context.Context, In) (Out, error), in In) (out Out, err error) {
	return doIn(b.env, activity, in)
}

// doIn is do in an environment of its own.
func doIn[In, Out any](env *testsuite.TestActivityEnvironment, activity func(context.Context, In) (Out, error), in In) (out Out, err error) {
	value, err := env.ExecuteActivity(activity, in)
	if err != nil {
		return out, err
	}
	return out, value.Get(&out)
}

// timed runs a step and says how long it took.
func timed(what string, step func() error) (float64, error) {
	fmt.Print(what, " … ")
	began := time.Now()
	err := step()
	seconds := time.Since(began).Seconds()
	fmt.Printf("%.1f s\n", seconds)
	return seconds, err
}

// compare is a look at the hour from both sides.
func (b *bench) compare(quick bool) (click.LakeSnapshot, click.Comparison, error) {
	fixed, err := do(b, b.engine.FixLake, activities.FixLakeInput{From: b.hour, To: click.HourEnd(b.hour)})
	if err != nil {
		return fixed.Snapshot, click.Comparison{}, err
	}
	compared, err := do(b, b.engine.CompareLake, activities.CompareLakeInput{Snapshot: fixed.Snapshot, Run: "bench", Pass: 1, Quick: quick})
	return fixed.Snapshot, compared.Comparison, err
}

// backfill brings the hour back into an empty store, as a chunk of Backfill
// does: it looks, inserts and flushes; then all figures are final. The
// comparison after it, which says that they are right, is told apart.
func (b *bench) backfill(context.Context) error {
	var snapshot click.LakeSnapshot
	var c click.Comparison
	steps := []struct {
		what string
		do   func() error
	}{
		{"looks at an empty store", func() (err error) { snapshot, c, err = b.compare(true); return err }},
		{"inserts", func() error {
			_, err := do(b, b.engine.RepairClicks, activities.RepairClicksInput{Snapshot: snapshot, Empty: c.Store == 0, Run: "bench"})
			return err
		}},
		{"flushes", func() error {
			_, err := do(b, b.engine.FlushSpan, activities.FlushSpanInput{From: b.hour, To: click.HourEnd(b.hour), Reason: click.BackfillFlush})
			return err
		}},
	}
	for _, step := range steps {
		seconds, err := timed(step.what, step.do)
		if err != nil {
			return err
		}
		b.result.BackfillSteps = append(b.result.BackfillSteps, seconds)
		b.result.BackfillSeconds += seconds
	}
	var err error
	b.result.VerifySeconds, err = timed("compares afterwards", func() (err error) { _, c, err = b.compare(false); return err })
	if err != nil {
		return err
	}
	if !c.Agrees() || c.Lake == 0 || c.Figures != c.Lake {
		return fmt.Errorf("after the backfill lake and store differ: %+v", c)
	}
	b.result.Counted = c.Lake
	b.result.BackfillPerSecond = float64(b.settings.Clicks) / b.result.BackfillSeconds
	return nil
}

// reconcile compares the hour with the full store.
func (b *bench) reconcile(ctx context.Context) error {
	var c click.Comparison
	began := time.Now()
	seconds, err := timed("reconciles", func() (err error) { _, c, err = b.compare(false); return err })
	if err != nil {
		return err
	}
	if !c.Agrees() {
		return fmt.Errorf("lake and store differ: %+v", c)
	}
	b.result.ReconcileSeconds = seconds
	peak, err := peakMemory(ctx, b.config, began)
	b.result.ReconcilePeakGB = peak / 1e9
	return err
}
