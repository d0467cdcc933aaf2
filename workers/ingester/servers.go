package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/ingest"
	"clickledger/internal/kafka"
	"clickledger/internal/valkey"
)

const (
	awaitPause   = time.Second
	awaitTimeout = 5 * time.Second
	// memoryInterval: a fifth of the index is hours of clicks.
	memoryInterval = time.Minute
)

// await waits until check succeeds and says once what it waits for. What no
// waiting mends, such as a wrong password, is returned.
func await(ctx context.Context, log *slog.Logger, what string, check func(context.Context) error) error {
	for said := false; ; {
		err := bounded(ctx, check)
		if err == nil {
			return nil
		}
		if !away(err) {
			return fmt.Errorf("look for %s: %w", what, err)
		}
		if !said {
			log.Warn("waiting for "+what, "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(awaitPause):
		}
	}
}

func bounded(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	return check(ctx)
}

// away tells a server that is not there from one that says no.
func away(err error) bool {
	return errors.Is(err, click.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// join becomes a member of the ingester's group, after a look at the topic: the
// offsets that are stored speak of one topic only.
func join(ctx context.Context, c config.Config, store *clickhouse.Store, log *slog.Logger) (ingest.Stream, error) {
	known, err := store.LedgerTopic(ctx)
	if err != nil {
		return nil, err
	}
	consumer, err := kafka.NewConsumer(c, log, kafka.UsualMembership(c.IngesterName()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ingest.ErrFatal, err)
	}
	topic, err := consumer.Check(ctx)
	switch {
	case err == nil && (known == "" || known == topic):
		return consumer, nil
	case err == nil:
		err = fmt.Errorf("%w: its id is %s, the ledger was built from %s", click.ErrOtherTopic, topic, known)
	case away(err):
		consumer.Leave()
		return nil, err
	}
	consumer.Leave()
	return nil, fmt.Errorf("%w: %w", ingest.ErrFatal, err)
}

// watchMemory logs once when the seen index is nearly full, and once when it has
// room again, until ctx ends.
func watchMemory(ctx context.Context, seen *valkey.SeenIndex, log *slog.Logger) {
	for full := false; ; {
		alarm, err := seen.CheckMemory(ctx)
		switch {
		case err != nil: // the ingester itself tells of an index that cannot be asked
		case alarm != "" && !full:
			full = true
			log.Warn(alarm)
		case alarm == "" && full:
			full = false
			log.Info("the seen index has room again")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(memoryInterval):
		}
	}
}

// registerMemory shows how full the seen index is: a full one stops ingestion.
func registerMemory(registry prometheus.Registerer, seen *valkey.SeenIndex) {
	gauge := func(name, help string, value func(valkey.SeenMemory) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "clickledger_seen_index_" + name, Help: help},
			func() float64 { return float64(value(seen.Memory())) })
	}
	registry.MustRegister(
		gauge("used_bytes", "Memory the seen index's server uses.", func(m valkey.SeenMemory) int64 { return m.Used }),
		gauge("max_bytes", "Memory it may use; 0 is no limit of its own. Raise it above 80 %.", func(m valkey.SeenMemory) int64 { return m.Max }))
}
