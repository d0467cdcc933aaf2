package main

import (
	"context"
	"fmt"
	"time"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/kafka"
)

// stream stands for Kafka: everything in the store is committed. The topic is
// the real one, because the programs go on with its ledger.
type stream struct {
	topic      string
	partitions int
}

func (s stream) Progress(context.Context, time.Time) (string, []click.PartitionProgress, error) {
	progress := make([]click.PartitionProgress, s.partitions)
	for p := range progress {
		progress[p] = click.PartitionProgress{Partition: int32(p), Committed: 1 << 40, Required: 1}
	}
	return s.topic, progress, nil
}

// noGateways have nothing in their journals.
type noGateways struct{}

func (noGateways) List(context.Context) ([]click.GatewayState, error) { return nil, nil }

// flush flushes the last minutes of the full day as FlushWindow does. What
// counts is the slowest.
func (b *bench) flush(ctx context.Context) error {
	admin, err := kafka.NewAdmin(b.config)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.Setup(ctx); err != nil {
		return err
	}
	topic, _, err := admin.Progress(ctx, time.Now())
	if err != nil {
		return err
	}
	engine := &activities.Flush{
		Stream: stream{topic, b.world.partitions}, Ledger: b.store, Figures: b.store, Gateways: noGateways{}, Lateness: lateness, Now: time.Now,
	}
	b.env.RegisterActivity(engine)
	for i := range flushes {
		w := click.WindowOf(b.world.flushFrom().Add(time.Duration(i) * click.WindowLength))
		first, rows, err := b.flushWindow(engine, w, click.FirstFlush)
		if err != nil {
			return err
		}
		again, _, err := b.flushWindow(engine, w, click.LateFlush)
		if err != nil {
			return err
		}
		say("  %s: %d figures in %.0f ms, once more in %.0f ms", w, rows, first, again)
		b.result.FlushMS, b.result.ReflushMS = max(b.result.FlushMS, first), max(b.result.ReflushMS, again)
	}
	return nil
}

func (b *bench) flushWindow(engine *activities.Flush, w click.Window, reason click.FlushReason) (ms float64, rows uint64, err error) {
	began := time.Now()
	fixed, err := do(b, engine.FixSnapshot, activities.SnapshotInput{Window: w})
	if err != nil {
		return 0, 0, err
	}
	if _, err := do(b, engine.AggregateWindow, activities.AggregateInput{SnapshotResult: fixed, Reason: reason}); err != nil {
		return 0, 0, err
	}
	verified, err := do(b, engine.VerifyWindow, activities.VerifyInput{Snapshot: fixed.Snapshot})
	if err != nil {
		return 0, 0, err
	}
	if !verified.Tally.Agrees() || verified.Tally.Ads != uint64(b.world.flushClicks) {
		return 0, 0, fmt.Errorf("window %s: %d clicks were made, the flush counted %+v", w, b.world.flushClicks, verified.Tally)
	}
	_, err = do(b, engine.SealWindow, activities.SealInput{Seal: click.Seal{
		Snapshot: fixed.Snapshot, Clicks: verified.Tally.Distinct, Rows: verified.Tally.Rows, Reason: string(reason),
	}})
	return float64(time.Since(began).Microseconds()) / 1000, verified.Tally.Rows, err
}

// rollUp rolls up every day as RollupTick and RollupDay do.
func (b *bench) rollUp(ctx context.Context) error {
	minutes, err := b.number(ctx, "SELECT count() FROM clicks_per_minute_local")
	if err != nil {
		return err
	}
	engine := &activities.Rollup{Ledger: b.store, Sums: b.store, MinutesKeptDays: b.config.MinutesRetentionDays, Now: time.Now}
	b.env.RegisterActivity(engine)
	plan, err := do(b, engine.PlanRollups, activities.PlanRollupsInput{Limit: b.world.days + 1})
	if err != nil {
		return err
	}
	if len(plan.Due) != b.world.days {
		return fmt.Errorf("%d days are due, want %d", len(plan.Due), b.world.days)
	}
	began := time.Now()
	err = each(ctx, len(plan.Due), 1, func(_ context.Context, i int) error {
		for _, step := range click.Rollups() {
			if _, err := do(b, engine.RollUp, activities.RollUpInput{Day: plan.Due[i], Level: step.To}); err != nil {
				return err
			}
		}
		return nil
	})
	b.result.RollupPerSecond = float64(minutes) / time.Since(began).Seconds()
	return err
}
