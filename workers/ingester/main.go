// Command ingester reads the stream and stores every click once.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"

	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/ingest"
	"clickledger/internal/kafka"
	"clickledger/internal/process"
	temporalclient "clickledger/internal/temporal"
	"clickledger/internal/valkey"
	"clickledger/workflows"
)

func main() {
	os.Exit(process.Main("ingester", "reads the stream and stores every click once", run))
}

// run is the ingester from its start to its ordered stop.
func run(ctx context.Context, c config.Config, log *slog.Logger) error {
	ops, err := process.NewOps(c.IngesterOpsListen)
	if err != nil {
		return err
	}
	defer ops.Stop()

	// None of these waits for its server: what is away is waited for below.
	store, err := clickhouse.Open(c)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	seen, err := valkey.OpenSeenIndex(c)
	if err != nil {
		return err
	}
	defer seen.Close()
	temporal, err := client.NewLazyClient(temporalclient.Options(c, temporallog.NewStructuredLogger(log)))
	if err != nil {
		return fmt.Errorf("create temporal client: %w", err)
	}
	defer temporal.Close()

	ingester, err := ingest.New(ingest.Parts{
		Log: log, Registry: ops.Registry, Validity: c.TokenValidity, BatchInterval: c.BatchInterval, Store: store, Seen: seen,
		Join:        func(ctx context.Context) (ingest.Stream, error) { return join(ctx, c, store, log) },
		RebuildSeen: func(ctx context.Context) error { return workflows.StartRebuildSeen(ctx, temporal) },
	})
	if err != nil {
		return err
	}
	filtered, err := ingest.NewFiltered(ingest.FilteredParts{
		Log: log, Registry: ops.Registry, Store: store,
		Join: func() (ingest.FilteredStream, error) { return kafka.NewFilteredConsumer(c, log) },
	})
	if err != nil {
		return err
	}
	registerMemory(ops.Registry, seen)
	ops.AddCheck("progress", ingester.Ready)
	go ops.Serve(log)

	if err := await(ctx, log, "clickhouse", store.CheckClicks); err != nil {
		return err
	}
	if err := await(ctx, log, "seen index", seen.Ping); err != nil {
		return err
	}
	context.AfterFunc(ctx, ops.NotReady)
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { filtered.Run(ctx) })
	beside.Go(func() { watchMemory(ctx, seen, log) })
	defer beside.Wait()
	defer cancel()
	return ingester.Run(ctx)
}
