package server

import (
	"context"
	"log/slog"
	"time"

	"clickledger/internal/click"
)

const (
	// How many journalled clicks are on their way at once: one to find out
	// whether Kafka is back, then more with each round that went well. At the
	// most a slow Kafka, a round a second, still gets what comes in.
	drainSecond = 1_000
	drainMax    = 10_000
	// drainIdle is between two looks at a journal that nothing was added to.
	drainIdle = time.Second
)

// drained is the journal as who drains it sees it.
type drained interface {
	// Oldest are the clicks that were appended first, in that order.
	Oldest(limit int) ([]click.Journalled, error)
	Remove(clicks []click.Journalled) error
	// Added is signalled when clicks were added.
	Added() <-chan struct{}
}

// allProducer answers for each click nil when it is durable in Kafka.
type allProducer interface {
	ProduceAll(ctx context.Context, clicks []click.Routed) []error
}

// Drain moves journalled clicks to Kafka. All of it is needed.
type Drain struct {
	Log      *slog.Logger
	Journal  drained
	Producer allProducer
	Breaker  *Breaker
	// InTime is how soon Kafka must take a click so that new ones try it again.
	InTime time.Duration
	// Pause is between two looks at a Kafka that is away.
	Pause time.Duration
}

// Run moves clicks from the journal to Kafka, the oldest first, whenever there
// are any, until ctx ends. A click is removed only when Kafka has it; a crash
// in between makes a copy, which the ingester drops.
func (d *Drain) Run(ctx context.Context) {
	limit, moved := 1, 0
	began := time.Now()
	for ctx.Err() == nil {
		clicks, err := d.Journal.Oldest(limit)
		if err != nil {
			d.Log.Error("the journal cannot be read; trying on", "error", err)
			d.wait(ctx, drainIdle)
			continue
		}
		if len(clicks) == 0 {
			if moved > 0 {
				d.Log.Info("the journal is drained", "clicks", moved, "took", time.Since(began).Round(time.Millisecond).String())
			}
			limit, moved = 1, 0
			d.Breaker.Close() // nothing here could find out whether Kafka is back: let clicks
			d.wait(ctx, drainIdle)
			began = time.Now()
			continue
		}
		sent := time.Now()
		done := delivered(clicks, d.Producer.ProduceAll(ctx, routed(clicks)))
		if err := d.Journal.Remove(done); err != nil {
			d.Log.Error("drained clicks stay in the journal and are sent again", "error", err)
			d.wait(ctx, drainIdle)
			continue
		}
		moved += len(done)
		if len(done) < len(clicks) {
			limit = 1 // one finds out whether Kafka is back as well as a thousand
			d.pause(ctx, d.Pause)
			continue
		}
		// Caught up: what came meanwhile was less than was asked for. Before that,
		// new clicks are better off in the journal than behind the old ones.
		if len(clicks) < limit && time.Since(sent) <= d.InTime {
			d.Breaker.Close()
		}
		limit = min(max(2*limit, drainSecond), drainMax)
	}
}

func routed(clicks []click.Journalled) []click.Routed {
	out := make([]click.Routed, len(clicks))
	for i := range clicks {
		out[i] = clicks[i].Routed
	}
	return out
}

func delivered(clicks []click.Journalled, faults []error) []click.Journalled {
	done := make([]click.Journalled, 0, len(clicks))
	for i, err := range faults {
		if err == nil {
			done = append(done, clicks[i])
		}
	}
	return done
}

// wait is for something to be added, or the time.
func (d *Drain) wait(ctx context.Context, longest time.Duration) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.Journal.Added():
	case <-timer.C:
	}
}

func (d *Drain) pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
