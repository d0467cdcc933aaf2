package ingest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

// contextOf is a context that ends with the test, or before.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// reports is the stream of filtered clicks in memory, with faults.
type reports struct {
	batches   [][]click.Filtered
	committed int
	refused   []int
	faults    []error // what the next calls of Gather and Commit end with
	joins     int
	drained   func()
}

func (r *reports) join() (FilteredStream, error) {
	r.joins++
	return &reporter{reports: r, position: r.committed}, r.fault()
}

func (r *reports) fault() error {
	if len(r.faults) == 0 {
		return nil
	}
	err := r.faults[0]
	r.faults = r.faults[1:]
	return err
}

// reporter is one membership.
type reporter struct {
	*reports
	position int
	refuses  bool
}

func (r *reporter) Gather(ctx context.Context) ([]click.Filtered, error) {
	if err := r.fault(); err != nil {
		return nil, err
	}
	if r.position == len(r.batches) {
		r.drained()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r.position++
	return r.batches[r.position-1], nil
}

func (r *reporter) Refuse(string) { r.refuses = true }

func (r *reporter) Commit(context.Context) error {
	if err := r.fault(); err != nil {
		return err
	}
	if r.refuses {
		r.refused = append(r.refused, r.position-1)
	}
	r.committed, r.refuses = r.position, false
	return nil
}

func (r *reporter) Leave() {}

func reportOf(n uint64) []click.Filtered {
	return []click.Filtered{{
		Window: click.WindowOf(time.Unix(1e9, 0)), AdvertiserID: 1, AdID: 1, Reason: click.Expired, Count: n, ID: click.NewArrivalID(1, n),
	}}
}

// runFiltered stores three reports; the faults are met on the way.
func runFiltered(t *testing.T, r *reports, s *shelf) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		r.batches = [][]click.Filtered{reportOf(1), reportOf(2), reportOf(3)}
		f, err := NewFiltered(FilteredParts{Log: slog.New(slog.DiscardHandler), Registry: registry, Join: r.join, Store: s})
		if err != nil {
			t.Fatal(err)
		}
		ctx, drained := contextOf(t)
		r.drained = drained
		f.Run(ctx)
	})
	if r.committed != len(r.batches) {
		t.Errorf("committed %d of %d batches", r.committed, len(r.batches))
	}
	return registry
}

func TestReportsAreStoredWhateverHappensOnTheWay(t *testing.T) {
	fault := errors.New("a fault")
	for name, test := range map[string]struct {
		stream, store []error
	}{
		"nothing":                   {nil, nil},
		"kafka is away":             {[]error{fault, fault, nil, fault}, nil},
		"a commit is refused":       {[]error{nil, nil, fault}, nil},
		"the store is away":         {nil, []error{click.ErrUnavailable, click.ErrUnavailable}},
		"the table is not there":    {nil, []error{fault, fault, nil, fault}},
		"both, one after the other": {[]error{nil, fault, nil, nil, fault}, []error{fault, nil, fault}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWorld().shelf
			s.filteredFaults = test.store
			runFiltered(t, &reports{faults: test.stream}, s)
			want := map[click.Filtered]bool{reportOf(1)[0]: false, reportOf(2)[0]: false, reportOf(3)[0]: false}
			if !maps.Equal(s.filtered, want) {
				t.Errorf("stored %v, want %v", s.filtered, want)
			}
		})
	}
}

func TestReportTheStoreRefusesIsSetAside(t *testing.T) {
	s, r := newWorld().shelf, &reports{}
	s.filteredFaults = []error{click.ErrUnavailable, click.ErrRejected}
	registry := runFiltered(t, r, s)
	if len(r.refused) != 1 || r.refused[0] != 0 || len(s.filtered) != 2 {
		t.Errorf("refused %v, stored %d reports", r.refused, len(s.filtered))
	}
	if got := total(t, registry, "clickledger_ingester_filtered_refused_total"); got != 1 {
		t.Errorf("the metric tells of %d clicks", got)
	}
	if got := total(t, registry, "clickledger_ingester_filtered_stored_total"); got != 5 {
		t.Errorf("the metric tells of %d clicks stored", got)
	}
}
