package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/internal/s3"
	"clickledger/internal/valkey"
	"clickledger/workflows"
)

func setUpKafka(ctx context.Context, c config.Config) (string, error) {
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	created, err := admin.EnsureTopics(ctx)
	if errors.Is(err, click.ErrFewerPartitions) {
		return raisePartitions(ctx, c, admin)
	}
	if err != nil {
		return "", err
	}
	if len(created) == 0 {
		return fmt.Sprintf("topics %s, %s and %s are there", c.ClicksTopic(), c.DeadTopic(), c.FilteredTopic()), nil
	}
	return "created " + strings.Join(created, " and "), nil
}

// clickHouseTimeout is attemptTimeout where there is nothing to move to.
func clickHouseTimeout(c config.Config) time.Duration {
	if len(c.ClickHouseAddrs) == 1 {
		return 0
	}
	return moveTimeout
}

// setUpClickHouse brings the schema up to date, and rows to shards that are new.
func setUpClickHouse(ctx context.Context, c config.Config, progress func(string)) (string, error) {
	if err := clickhouse.MigrateTelling(ctx, c, progress); err != nil {
		return "", err
	}
	changed, err := clickhouse.EnsureRetention(ctx, c)
	if err != nil {
		return "", err
	}
	did := fmt.Sprintf("schema of %s is up to date", c.Database())
	if len(changed) > 0 {
		did += ", changed how long " + strings.Join(changed, ", ") + " are kept"
	}
	return did, nil
}

// startLedger starts the ledger, if there is none, one minute before now, so that
// no click of a gateway whose clock is a little behind lies before it. Clicks
// that do (the store was lost, Kafka was not) are not lost: a window before the
// start that holds a click is flushed like one with late clicks.
func startLedger(ctx context.Context, c config.Config, now time.Time) (string, error) {
	store, err := clickhouse.Open(c)
	if err != nil {
		return "", err
	}
	defer func() { _ = store.Close() }()
	start, err := store.StartLedger(ctx, click.WindowOf(now.Add(-click.WindowLength)))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("starts at %s", start), store.CompleteSeals(ctx)
}

func setUpS3(ctx context.Context, c config.Config) (string, error) {
	lake, err := s3.Open(c)
	if err != nil {
		return "", err
	}
	created, err := lake.Ensure(ctx)
	if err != nil {
		return "", err
	}
	changed, err := lake.EnsureRetention(ctx, c.LakeRetentionDays)
	if err != nil {
		return "", err
	}
	did, keeps := "bucket "+c.Bucket()+" is there", "keeps"
	if created {
		did = "created bucket " + c.Bucket()
	}
	if changed {
		keeps = "from now on keeps"
	}
	return fmt.Sprintf("%s, it %s clicks for %d days", did, keeps, c.LakeRetentionDays), nil
}

// ensureSeen has the seen index filled if it is not complete. The workflow does
// so once an aggregator runs; until then the ingester waits.
func ensureSeen(ctx context.Context, c config.Config, temporal client.Client) (string, error) {
	index, err := valkey.OpenSeenIndex(c)
	if err != nil {
		return "", err
	}
	defer index.Close()
	complete, err := index.Complete(ctx)
	if err != nil {
		return "", err
	}
	if complete {
		return "the seen index is complete", nil
	}
	if err := workflows.StartRebuildSeen(ctx, temporal); err != nil {
		return "", notKnownYet(err)
	}
	return "started " + workflows.RebuildSeenID + " to fill the seen index", nil
}
