package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/journal"
)

// heartbeatInterval is well below the allowed lateness: a minute that holds
// journalled clicks is known of before it could be sealed.
const heartbeatInterval = time.Second

// heartbeat tells the others what this gateway's journal holds.
type heartbeat struct {
	journal    *journal.Journal
	partitions int32 // as configured
	tell       func(context.Context, click.GatewayState) error
	log        *slog.Logger
	failing    bool
}

// run tells until ctx ends, and then once more.
func (h *heartbeat) run(ctx context.Context) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		h.beat(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *heartbeat) beat(ctx context.Context) {
	held := h.journal.Held()
	err := h.tell(ctx, click.GatewayState{
		JournalID: h.journal.ID(), Depth: int64(held.Depth), Oldest: held.Oldest,
		Recording: h.journal.Check(ctx) == nil, Partitions: h.partitions, At: time.Now(),
	})
	switch {
	case err != nil && !h.failing && ctx.Err() == nil:
		h.failing = true
		h.log.Warn("the others are not told what the journal holds: windows may be sealed before it is drained, and restated then", "error", err)
	case err == nil && h.failing:
		h.failing = false
		h.log.Info("the others are told again what the journal holds")
	}
}

// watchJournal exposes what the journal holds.
func watchJournal(registry prometheus.Registerer, j *journal.Journal) {
	gauge := func(name, help string, value func(journal.Held) float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(j.Held()) }))
	}
	gauge("clickledger_gateway_journal_clicks", "Clicks in the journal: Kafka does not have them yet.",
		func(h journal.Held) float64 { return float64(h.Depth) })
	gauge("clickledger_gateway_journal_bytes", "What they take of CLICKLEDGER_JOURNAL_BYTES_MAX.",
		func(h journal.Held) float64 { return float64(h.Bytes) })
	gauge("clickledger_gateway_journal_unreadable", "Damaged entries that were set aside in the journal's file.",
		func(h journal.Held) float64 { return float64(h.Unreadable) })
	gauge("clickledger_gateway_journal_oldest_seconds", "Age of the earliest minute that the journal holds a click of; 0 when it is empty.",
		func(h journal.Held) float64 {
			if h.Depth == 0 {
				return 0
			}
			return time.Since(h.Oldest.Start()).Seconds()
		})
}
