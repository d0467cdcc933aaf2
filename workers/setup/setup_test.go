package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
	"clickledger/internal/valkey"
	"clickledger/workflows"
)

// freshNamespace is a namespace that everything is removed from at the end.
func freshNamespace(t *testing.T) config.Config {
	t.Helper()
	c := stacktest.Config(t)
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	stacktest.Cleanup(t, "topics", func(ctx context.Context) error {
		admin, err := kafka.NewAdmin(c)
		if err != nil {
			return err
		}
		defer admin.Close()
		return admin.Drop(ctx)
	})
	stacktest.Cleanup(t, "bucket", func(ctx context.Context) error {
		lake, err := s3.Open(c)
		if err != nil {
			return err
		}
		return lake.Drop(ctx)
	})
	stacktest.Cleanup(t, "seen index", func(ctx context.Context) error {
		index, err := valkey.OpenSeenIndex(c)
		if err != nil {
			return err
		}
		defer index.Close()
		return index.Drop(ctx)
	})
	stacktest.Cleanup(t, "temporal namespace", func(ctx context.Context) error {
		temporal, err := dialTemporal(c)
		if err != nil {
			return err
		}
		defer temporal.client.Close()
		_, err = temporal.client.OperatorService().DeleteNamespace(ctx, &operatorservice.DeleteNamespaceRequest{Namespace: c.TemporalNamespace()})
		return err
	})
	return c
}

func TestSetupAgainChangesNothingAndKeepsAPause(t *testing.T) {
	c, log := freshNamespace(t), slog.New(slog.DiscardHandler)
	if err := run(t.Context(), c, log); err != nil {
		t.Fatal(err)
	}
	store, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	start, err := store.LedgerStart(t.Context())
	if err != nil || start.IsZero() || time.Since(start) < time.Minute {
		t.Fatalf("the ledger starts at %s, %v; want a minute ago", start, err)
	}
	temporal, err := dialTemporal(c)
	if err != nil {
		t.Fatal(err)
	}
	defer temporal.client.Close()
	schedule := temporal.client.ScheduleClient().GetHandle(t.Context(), workflows.FlushScheduleID)
	if err := schedule.Pause(t.Context(), client.SchedulePauseOptions{Note: "by hand"}); err != nil {
		t.Fatal(err)
	}

	c.AllowedLateness = 20 * time.Second
	if err := run(t.Context(), c, log); err != nil {
		t.Fatal(err)
	}
	if again, err := store.LedgerStart(t.Context()); err != nil || !again.Equal(start) {
		t.Errorf("the ledger starts at %s, %v; want %s still", again, err, start)
	}
	described, err := schedule.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !described.Schedule.State.Paused {
		t.Error("the paused schedule runs again")
	}
	if second := described.Schedule.Spec.Calendars[0].Second[0].Start; second != 25 {
		t.Errorf("the tick comes at second %d, want 25: the spec was not brought up to date", second)
	}
}

func TestSetupSaysWhatIsWrongWithTheTopic(t *testing.T) {
	c, log := freshNamespace(t), slog.New(slog.DiscardHandler)
	if err := run(t.Context(), c, log); err != nil {
		t.Fatal(err)
	}
	c.Partitions--
	err := run(t.Context(), c, log)
	if err == nil || !strings.Contains(err.Error(), "has 6 partitions") {
		t.Errorf("fewer partitions: %v", err)
	}
}

func TestSetupRaisesPartitionsOnceNobodySendsToTheOldOnes(t *testing.T) {
	c, log := freshNamespace(t), slog.New(slog.DiscardHandler)
	if err := run(t.Context(), c, log); err != nil {
		t.Fatal(err)
	}
	gateways, err := valkey.OpenGateways(c)
	if err != nil {
		t.Fatal(err)
	}
	defer gateways.Close()
	tell := func(partitions int32) {
		t.Helper()
		err := gateways.Tell(t.Context(), click.GatewayState{JournalID: "sender", Recording: true, Partitions: partitions, At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
	}
	tell(c.Partitions)
	c.Partitions += 2
	if err := run(t.Context(), c, log); err == nil || !strings.Contains(err.Error(), "sender (6)") {
		t.Errorf("beside a gateway with 6 partitions: %v", err)
	}
	tell(c.Partitions)
	for range 2 { // the second time there is nothing to do
		if err := run(t.Context(), c, log); err != nil {
			t.Errorf("with all gateways at 8: %v", err)
		}
	}
}

func TestSetupSaysWhenThePasswordIsWrong(t *testing.T) {
	c := stacktest.Config(t) // nothing comes to be
	c.ClickHousePassword = "wrong"
	_, err := setUpClickHouse(t.Context(), c, func(string) {})
	if err == nil || mayPass(err) {
		t.Errorf("a wrong password may pass: %v", err)
	}
}
