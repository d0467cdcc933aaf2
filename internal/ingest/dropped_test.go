package ingest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

func TestCopiesOfACountedClickAreNotTold(t *testing.T) {
	w := newWorld()
	w.perBatch = 3
	now := time.Now()
	counted := w.click(0, newImpression(t, now), now)
	w.deliver(0, counted.Click) // redelivered, in the same batch
	again := w.click(0, counted.Impression, now.Add(time.Minute))
	w.deliver(0, counted.Click) // and out of a journal, much later
	w.deliver(0, again.Click)
	if err := w.run(t, w.parts()); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	if got := w.notCounted(); len(got) != 1 {
		t.Errorf("%d clicks are told as not counted, want the one that was clicked again", len(got))
	}
}

func TestWhatCannotBeToldNeverHoldsUpWhatCounts(t *testing.T) {
	for name, fault := range map[string]error{"refused data": click.ErrRejected, "no such table": errors.New("UNKNOWN_TABLE")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := busy(t)
				for range 100_000 {
					w.filteredFaults = append(w.filteredFaults, fault)
				}
				parts, registry := w.parts(), prometheus.NewRegistry()
				parts.Registry = registry
				began := time.Now()
				ingester, err := New(parts)
				if err != nil {
					t.Fatal(err)
				}
				ctx, drained := contextOf(t)
				w.drained = drained
				if err := ingester.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 2*droppedPatience {
					t.Errorf("it took %v", took)
				}
				records := 0
				for partition, clicks := range w.clicks {
					records += len(clicks)
					if w.committed[partition] != int64(len(clicks)) {
						t.Errorf("partition %d is committed to %d of %d", partition, w.committed[partition], len(clicks))
					}
				}
				if got, want := total(t, registry, "clickledger_ingester_dropped_unreported_total"), records-len(w.rows)-len(w.bad); got != want {
					t.Errorf("%d clicks are said to be missing in filtered, want %d", got, want)
				}
			})
		})
	}
}
