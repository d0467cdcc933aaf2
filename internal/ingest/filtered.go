package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

// filteredInterval is the time from one insert of filtered clicks to the next:
// an insert costs ClickHouse the same whatever it holds.
const filteredInterval = 2 * time.Second

// FilteredStream is one membership of the group that stores what gateways did
// not produce. After any error it is left and joined anew.
type FilteredStream interface {
	Gather(ctx context.Context) ([]click.Filtered, error)
	// Refuse sets the batch aside with Commit: the store will never take it.
	Refuse(reason string)
	Commit(ctx context.Context) error
	Leave()
}

type filteredStore interface {
	// InsertFiltered wraps click.ErrRejected if the data itself is refused.
	InsertFiltered(ctx context.Context, entries []click.Filtered) error
}

// FilteredParts is what a FilteredIngester is made of. All are needed.
type FilteredParts struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	Join     func() (FilteredStream, error)
	Store    filteredStore
}

// FilteredIngester stores what gateways redirected but did not produce. It
// shares nothing with the Ingester, so that no fault here touches a count: no
// group, no connection to Kafka, no goroutine, no readiness.
type FilteredIngester struct {
	FilteredParts
	stored, refused prometheus.Counter
}

// NewFiltered checks that nothing is missing.
func NewFiltered(p FilteredParts) (*FilteredIngester, error) {
	if p.Log == nil || p.Registry == nil || p.Join == nil || p.Store == nil {
		return nil, errors.New("make ingester of filtered clicks: a part is missing")
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "clickledger_ingester_filtered_" + name, Help: help})
	}
	f := &FilteredIngester{
		FilteredParts: p,
		stored:        counter("stored_total", "Clicks stored that gateways did not produce; what is stored again after a crash counts again."),
		refused:       counter("refused_total", "Such clicks that the store refused: they are dead letters."),
	}
	p.Registry.MustRegister(f.stored, f.refused)
	return f, nil
}

// Run stores filtered clicks until ctx ends. What is away is waited for; Kafka
// keeps the stream meanwhile. A batch that was not finished is read again.
func (f *FilteredIngester) Run(ctx context.Context) {
	for said := false; ctx.Err() == nil; {
		stored, err := f.consume(ctx)
		if ctx.Err() != nil {
			return
		}
		if stored || !said {
			f.Log.Warn("filtered clicks wait, clicks do not", "error", err)
			said = true
		}
		pause(ctx, retryWaitMax)
	}
}

// consume is one membership. It ends with an error, and says whether any batch
// was stored before.
func (f *FilteredIngester) consume(ctx context.Context) (stored bool, err error) {
	stream, err := f.Join()
	if err != nil {
		return false, err
	}
	defer stream.Leave()
	for {
		began := time.Now()
		entries, err := stream.Gather(ctx)
		if err != nil {
			return stored, fmt.Errorf("gather filtered clicks: %w", err)
		}
		if err := f.store(ctx, stream, entries); err != nil {
			return stored, err
		}
		if err := attempt(ctx, stream.Commit); err != nil {
			return stored, fmt.Errorf("finish filtered clicks: %w", err)
		}
		stored = true
		pause(ctx, time.Until(began.Add(filteredInterval)))
	}
}

// store tries until the entries are stored, or can never be, or ctx ends.
func (f *FilteredIngester) store(ctx context.Context, stream FilteredStream, entries []click.Filtered) error {
	clicks := uint64(0)
	for _, entry := range entries {
		clicks += entry.Count
	}
	wait := usualPace().newWait()
	for said := false; ; {
		err := attempt(ctx, func(ctx context.Context) error { return f.Store.InsertFiltered(ctx, entries) })
		switch {
		case err == nil:
			f.stored.Add(float64(clicks))
			return nil
		case errors.Is(err, click.ErrRejected):
			f.refused.Add(float64(clicks))
			stream.Refuse(err.Error())
			return nil
		case ctx.Err() != nil:
			return err
		case !said:
			f.Log.Warn("filtered clicks wait for the store", "error", err)
			said = true
		}
		pause(ctx, wait.NextBackOff())
	}
}
