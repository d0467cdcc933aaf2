package ingest

import (
	"errors"
	"maps"
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

func TestDroppedClicksOfABatch(t *testing.T) {
	clicks := of("abac") // of impressions a, b, a, c
	for i := range clicks {
		clicks[i].Arrival = click.NewArrivalID(1, uint64(i))
	}
	redelivered := clicks[0]
	redelivered.Offset = 4
	all := append(clicks, redelivered)
	for name, test := range map[string]struct {
		fresh   []click.Placed
		dropped map[uint64]bool // sequence of the arrival, and whether it may be a copy
	}{
		"all counted":                {all, nil},
		"a is counted now":           {[]click.Placed{clicks[0], clicks[1], clicks[3]}, map[uint64]bool{2: false}},
		"a was counted before":       {[]click.Placed{clicks[1], clicks[3]}, map[uint64]bool{0: true, 2: true}},
		"everything was, in a crash": {nil, map[uint64]bool{0: true, 1: true, 2: true, 3: true}},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[click.ArrivalID]bool{}
			for sequence, mayBeCopy := range test.dropped {
				want[click.NewArrivalID(1, sequence)] = mayBeCopy
			}
			got := map[click.ArrivalID]bool{}
			for _, d := range droppedOf(all, test.fresh) {
				got[d.ID] = d.Arrival
			}
			if !maps.Equal(got, want) {
				t.Errorf("dropped %v, want %v", got, want)
			}
		})
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
