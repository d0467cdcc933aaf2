// Package ingest turns the stream into stored clicks: the ingester's loop and
// the rules of one batch. It knows the stream, the store and the seen index
// only by what it asks of them.
//
// The order of one batch is the guarantee of the whole system:
//
//	ask the seen index → insert → mark as seen → commit
//
// A crash between any two steps makes the next owner of the partition read the
// batch again. Before the insert nothing was stored; after it the same rows are
// inserted again and replace themselves; after the mark they are dropped as
// seen. No count changes. Marking before inserting would lose clicks;
// committing before either would too.
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

const (
	// stallLimit is how long a batch may take. After it this ingester leaves the
	// group: the fault may be its own, then another takes over.
	stallLimit = time.Minute
	// drainTimeout is how long a batch may take once the program is told to stop.
	drainTimeout = 15 * time.Second
)

// ErrFatal: going on would do harm, or can never succeed.
var ErrFatal = errors.New("cannot ingest")

var (
	errStalled  = errors.New("a batch took too long")
	errDraining = errors.New("the batch was not finished in the time left for stopping")
)

// Stream is one membership of the group. From Gather to Release no partition
// is taken away. After any error it is left and joined anew: that alone makes
// what was not committed be read again.
type Stream interface {
	// Gather waits for records and collects them until the given time.
	Gather(ctx context.Context, until time.Time) ([]click.Placed, []click.DeadLetter, error)
	// Bury sets records of the batch aside, durably.
	Bury(ctx context.Context, letters []click.DeadLetter) error
	// Commit says that exactly the batch is dealt with.
	Commit(ctx context.Context) error
	Release()
	Leave()
	// Progress is committed and end offset of every partition held; joined is
	// false until the group has given any, or none.
	Progress(ctx context.Context) (held []click.PartitionProgress, joined bool, err error)
}

type store interface {
	// InsertClicks wraps click.ErrRejected if the data itself is refused.
	InsertClicks(ctx context.Context, clicks []click.Placed) error
	StoredAmong(ctx context.Context, clicks []click.Placed, validity time.Duration) ([]bool, error)
	CheckClicks(ctx context.Context) error
	filteredStore
}

type seenIndex interface {
	// Ask wraps click.ErrSeenNotReady when its answers could not be trusted.
	Ask(ctx context.Context, ids []click.ImpressionID) ([]bool, error)
	Mark(ctx context.Context, ids []click.ImpressionID) error
	Remembers(id click.ImpressionID, now time.Time) bool
	Complete(ctx context.Context) (bool, error)
}

// Parts is what an ingester is made of. All are needed.
type Parts struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	Validity time.Duration // of click tokens
	// BatchInterval is the time from one batch to the next under load: a
	// ClickHouse likes a few inserts a second, an advertiser fresh figures.
	BatchInterval time.Duration
	// Join becomes a member of the group. An error that wraps ErrFatal ends the
	// ingester; any other is tried again.
	Join  func(ctx context.Context) (Stream, error)
	Store store
	Seen  seenIndex
	// RebuildSeen has the seen index rebuilt, by whoever; one that is already
	// being rebuilt is no error. It does not wait for the end.
	RebuildSeen func(ctx context.Context) error
}

// Ingester stores the stream's clicks, each once. Run it once.
type Ingester struct {
	Parts
	pace     pace
	metrics  *metrics
	progress progress
	// droppedFails: what was dropped last could not be stored.
	droppedFails bool
}

// pace is how long an ingester waits for what. Tests are in more of a hurry.
type pace struct{ stall, retryMin, retryMax time.Duration }

func usualPace() pace { return pace{stallLimit, retryWaitMin, retryWaitMax} }

// New checks that nothing is missing.
func New(p Parts) (*Ingester, error) {
	if p.Log == nil || p.Registry == nil || p.Validity <= 0 || p.BatchInterval <= 0 || p.Join == nil ||
		p.Store == nil || p.Seen == nil || p.RebuildSeen == nil {
		return nil, errors.New("make ingester: a part is missing")
	}
	return &Ingester{Parts: p, pace: usualPace(), metrics: newMetrics(p.Registry)}, nil
}

// Run stores clicks until ctx ends; the batch in hand is finished first. What
// is away is waited for. It returns early only with an ErrFatal.
func (i *Ingester) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if i.awaitStores(ctx) != nil {
			break // told to stop
		}
		err := i.consume(ctx)
		if errors.Is(err, ErrFatal) {
			return err
		}
		if ctx.Err() == nil {
			i.metrics.rejoins.Inc()
			i.Log.Warn("left the group, coming back", "error", err)
			pause(ctx, i.pace.retryMax)
		}
	}
	return nil //nolint:nilerr // the context has ended: that is a run's good end
}

// consume is one membership, from joining to leaving. It ends with an error;
// what was not committed by then is read again by the next.
func (i *Ingester) consume(ctx context.Context) error {
	var stream Stream
	err := i.persist(ctx, stepJoin, func(ctx context.Context) (err error) {
		stream, err = i.Join(ctx)
		return err
	})
	if err != nil {
		return err
	}
	defer stream.Leave()
	stopWatching := i.watch(ctx, stream)
	defer stopWatching()
	var began time.Time // of the last batch
	for {
		clicks, dead, err := stream.Gather(ctx, began.Add(i.BatchInterval))
		if err != nil {
			return fmt.Errorf("gather batch: %w", err)
		}
		began = time.Now()
		if err := i.settle(ctx, stream, clicks, dead); err != nil {
			return err
		}
		stream.Release()
	}
}

// settle finishes a batch once it is begun: a stop of the program does not
// interrupt it, only bounds it.
func (i *Ingester) settle(ctx context.Context, stream Stream, clicks []click.Placed, dead []click.DeadLetter) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stall := time.AfterFunc(i.pace.stall, func() { cancel(errStalled) })
	defer stall.Stop()
	stopped := context.AfterFunc(ctx, func() {
		time.AfterFunc(drainTimeout, func() { cancel(errDraining) })
	})
	defer stopped()
	return i.handle(work, stream, clicks, dead)
}
