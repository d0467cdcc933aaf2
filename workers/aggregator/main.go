// Command aggregator is the Temporal worker: it runs the workflows that make
// minutes final, and the activities they consist of.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"

	"clickledger/activities"
	"clickledger/internal/adfile"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/contract"
	"clickledger/internal/kafka"
	"clickledger/internal/lake"
	"clickledger/internal/parquet"
	"clickledger/internal/process"
	"clickledger/internal/s3"
	temporalclient "clickledger/internal/temporal"
	"clickledger/internal/valkey"
)

func main() {
	os.Exit(process.Main("aggregator", "makes minutes final: runs the Temporal workflows and activities", run))
}

func run(ctx context.Context, c config.Config, log *slog.Logger) error {
	ops, err := process.NewOps(c.AggregatorOpsListen)
	if err != nil {
		return err
	}
	defer ops.Stop()
	store, err := clickhouse.Open(c)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	seen, err := valkey.OpenSeenIndex(c)
	if err != nil {
		return err
	}
	defer seen.Close()
	cache, err := valkey.OpenCache(c, log)
	if err != nil {
		return err
	}
	defer cache.Close()
	gateways, err := valkey.OpenGateways(c)
	if err != nil {
		return err
	}
	defer gateways.Close()
	bucket, err := s3.Open(c)
	if err != nil {
		return err
	}
	options := temporalclient.Options(c, temporallog.NewStructuredLogger(log))
	options.MetricsHandler = newMetrics(ops.Registry)
	temporal, err := client.NewLazyClient(options)
	if err != nil {
		return fmt.Errorf("create temporal client: %w", err)
	}
	defer temporal.Close()

	rules, err := contract.NewAdRules()
	if err != nil {
		return err
	}

	archived := &lake.Archive{Lake: bucket, Stream: admin, Now: time.Now}
	workers := newWorkers(temporal, &activities.Flush{
		Stream: admin, Ledger: store, Figures: store, Gateways: gateways, Lateness: c.AllowedLateness, Now: time.Now,
	}, &activities.RebuildSeen{Seen: seen, Impressions: store, Validity: c.TokenValidity, Now: time.Now}, &activities.HotAds{
		Loads: store, FanOuts: store, Gateways: cache, Partitions: c.Partitions,
	}, &activities.Archive{
		Stream: admin, Progress: admin, Lake: bucket, Watch: archived, Encode: parquet.EncodeClicks, Lateness: c.AllowedLateness, Now: time.Now,
	},
		&activities.AdImport{Files: &adfile.Files{Objects: bucket}, Objects: bucket, Store: store, Cache: cache, Check: rules.Check},
		&activities.AdSync{Store: store, Cache: cache},
		&activities.Exports{Sources: exportSources(store), Lake: bucket}, &activities.Leftovers{Lake: bucket, Now: time.Now},
		&activities.Reconciliations{Stream: admin, Lake: bucket, Record: store, Lateness: c.AllowedLateness, Now: time.Now},
		&activities.Reconcile{
			Stream: admin, Lake: bucket, Ledger: store, Store: store, Validity: c.TokenValidity, Lateness: c.AllowedLateness, Now: time.Now,
		}, &activities.Rollup{Ledger: store, Sums: store, MinutesKeptDays: c.MinutesRetentionDays, Now: time.Now})
	ops.AddCheck("clickhouse", store.Ping)
	ops.AddCheck("kafka", admin.Ping)
	ops.AddCheck("temporal", func(ctx context.Context) error { return checkNamespace(ctx, temporal, c.TemporalNamespace()) })
	ops.AddCheck("workers", workers.check)
	go ops.Serve(log)
	go lake.NewWatch(archived, log, ops.Registry).Run(ctx) // with Temporal away too

	if err := awaitNamespace(ctx, temporal, c.TemporalNamespace(), log); err != nil {
		return err
	}
	if err := workers.start(); err != nil {
		return err
	}
	log.Info("workers started", "namespace", c.TemporalNamespace())
	err = workers.wait(ctx)
	ops.NotReady()
	workers.stop()
	return err
}
