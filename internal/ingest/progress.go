package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"clickledger/internal/click"
)

const (
	progressInterval = 5 * time.Second
	progressTimeout  = 4 * time.Second
	// stillLimit is how long a partition with something to do may stand still.
	stillLimit = 20 * time.Second
)

// progress is the ingester's liveness: not that it runs, but that it gets on.
type progress struct {
	mu     sync.Mutex
	joined bool
	at     time.Time // of the last observation
	held   map[int32]standing
}

// standing is where a partition stands, and since when with work before it.
type standing struct {
	committed int64
	since     time.Time // zero: nothing to do
}

// observe takes note of the offsets as they are at now.
func (p *progress) observe(now time.Time, offsets []click.PartitionProgress, joined bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(map[int32]standing, len(offsets))
	for _, o := range offsets {
		was, known := p.held[o.Partition]
		is := standing{committed: o.Committed}
		if o.Committed < o.Required {
			is.since = now
			if known && was.committed == o.Committed && !was.since.IsZero() {
				is.since = was.since
			}
		}
		held[o.Partition] = is
	}
	p.held, p.at, p.joined = held, now, joined
}

// left takes note that this ingester is not in the group. Since when a partition
// stands still is kept: coming back is not getting on.
func (p *progress) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.joined = false
}

// fault is why the ingester is not getting on at now, or nil. One without
// partitions, because others hold them, has nothing to get on with.
func (p *progress) fault(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.joined {
		return errors.New("not in the consumer group")
	}
	if age := now.Sub(p.at); age > stillLimit {
		return fmt.Errorf("kafka has not told the offsets for %s", age.Round(time.Second))
	}
	for partition, s := range p.held {
		if still := now.Sub(s.since); !s.since.IsZero() && still > stillLimit {
			return fmt.Errorf("partition %d stands still at offset %d for %s while there is more",
				partition, s.committed, still.Round(time.Second))
		}
	}
	return nil
}

// Ready is nil while the ingester is in the group and every partition it holds
// gets on or has nothing to do; else it says why not.
func (i *Ingester) Ready(context.Context) error { return i.progress.fault(time.Now()) }

// watch observes a membership's progress until the returned function is called.
func (i *Ingester) watch(ctx context.Context, stream Stream) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			wait := progressInterval
			if !i.look(ctx, stream) {
				wait = i.pace.retryMin // just joining
			}
			pause(ctx, wait)
		}
	})
	return func() {
		cancel()
		done.Wait()
		i.progress.left()
		i.metrics.lag.Reset()
	}
}

// look observes once and reports whether the group was joined.
func (i *Ingester) look(ctx context.Context, stream Stream) bool {
	ctx, cancel := context.WithTimeout(ctx, progressTimeout)
	defer cancel()
	offsets, joined, err := stream.Progress(ctx)
	if err != nil {
		return true // its age will tell
	}
	i.progress.observe(time.Now(), offsets, joined)
	i.metrics.lag.Reset()
	for _, o := range offsets {
		i.metrics.setLag(o.Partition, o.Required-o.Committed)
	}
	return joined
}
