// Command setup prepares the servers for one deployment: topics, schema, the
// ledger's start, the bucket and how long it keeps, the Temporal namespace with its search attributes
// and schedules, and the seen index. A catalogue that the store has lost is
// restored from the lake. What is there already stays: it is safe to run again,
// and it is run again after an upgrade.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"clickledger/internal/config"
	"clickledger/internal/process"
)

const (
	// setupTimeout bounds all of it, the waits for servers and a restoration
	// included.
	setupTimeout = 15*time.Minute + moveTimeout
	// restoreTimeout: ten million ads take a minute or two.
	restoreTimeout = 10 * time.Minute
	// moveTimeout is for rows that belong to shards which were added. What was cut
	// short goes on with the next setup.
	moveTimeout = 24 * time.Hour
)

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

	began := time.Now()
	// What needs nothing of the others, side by side.
	report := report{out: os.Stdout}
	err = report.all(ctx,
		step{name: "kafka", do: func(ctx context.Context) (string, error) { return setUpKafka(ctx, c) }},
		step{name: "clickhouse", timeout: clickHouseTimeout(c), do: func(ctx context.Context) (string, error) {
			return setUpClickHouse(ctx, c, func(doing string) { report.line("clickhouse", doing) })
		}},
		step{name: "s3", do: func(ctx context.Context) (string, error) { return setUpS3(ctx, c) }},
		step{name: "temporal", do: temporal.ensureNamespace})
	if err != nil {
		return err
	}
	// Before anything is exported again, and before there is a ledger that minutes
	// are sealed in: what was restored is told from what is new by the number of rows.
	err = report.all(ctx, step{name: "catalogue", timeout: restoreTimeout, do: func(ctx context.Context) (string, error) { return restoreCatalogue(ctx, c) }})
	if err != nil {
		return err
	}
	err = report.all(ctx, step{name: "ledger", do: func(ctx context.Context) (string, error) { return startLedger(ctx, c, began) }})
	if err != nil {
		return err
	}
	// What starts work comes last: it finds everything in its place.
	return report.all(ctx,
		step{name: "schedules", do: temporal.ensureSchedules},
		step{name: "seen", do: func(ctx context.Context) (string, error) { return ensureSeen(ctx, c, temporal.client) }})
}
