// Command setup prepares the servers for one deployment: topics, schema, the
// ledger's start, the bucket, the Temporal namespace with its search attributes
// and schedules, and the seen index. What is there already stays: it is safe to
// run again, and it is run again after an upgrade.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"clickledger/internal/config"
	"clickledger/internal/process"
)

// setupTimeout bounds all of it, the waits for servers included.
const setupTimeout = 3 * time.Minute

func main() {
	os.Exit(process.Main("setup", "creates what is absent: topics, schema, bucket, Temporal namespace and schedules", run))
}

func run(ctx context.Context, c config.Config, _ *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	temporal, err := dialTemporal(c)
	if err != nil {
		return err
	}
	defer temporal.client.Close()

	// What needs nothing of the others, side by side.
	report := report{out: os.Stdout}
	err = report.all(ctx,
		step{"kafka", func(ctx context.Context) (string, error) { return setUpKafka(ctx, c) }},
		step{"clickhouse", func(ctx context.Context) (string, error) { return setUpClickHouse(ctx, c, time.Now()) }},
		step{"s3", func(ctx context.Context) (string, error) { return setUpS3(ctx, c) }},
		step{"temporal", temporal.ensureNamespace})
	if err != nil {
		return err
	}
	// What starts work comes last: it finds everything in its place.
	return report.all(ctx,
		step{"schedules", temporal.ensureSchedules},
		step{"seen", func(ctx context.Context) (string, error) { return ensureSeen(ctx, c, temporal.client) }})
}
