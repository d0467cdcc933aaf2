package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"clickledger/internal/click"
)

const (
	retryWaitMin = 100 * time.Millisecond
	retryWaitMax = 2 * time.Second
	// tryTimeout bounds one try of one step: a server that accepts and never
	// answers is as good as away.
	tryTimeout = 20 * time.Second
	// rebuildAskInterval is how often a rebuild that is waited for is asked for
	// again: the one that was running may have been ended by an operator.
	rebuildAskInterval = 30 * time.Second
)

// persist tries a step until it succeeds, no further try can help, or ctx ends.
// The offsets stay where they are meanwhile; Kafka holds the stream.
func (i *Ingester) persist(ctx context.Context, s step, try func(context.Context) error) error {
	defer i.metrics.time(s)()
	wait := i.pace.newWait()
	var trouble outage
	for {
		err := attempt(ctx, try)
		switch {
		case err == nil:
			trouble.over(i, s)
			return nil
		case errors.Is(err, click.ErrRejected), errors.Is(err, ErrFatal):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		trouble.met(i, s, err)
		if errors.Is(err, click.ErrSeenNotReady) {
			trouble.askForRebuild(ctx, i)
		}
		pause(ctx, wait.NextBackOff())
	}
}

// awaitStores waits, outside the group, until a batch could succeed.
func (i *Ingester) awaitStores(ctx context.Context) error {
	return i.persist(ctx, stepReady, func(ctx context.Context) error {
		if err := i.Store.CheckClicks(ctx); err != nil {
			return err
		}
		complete, err := i.Seen.Complete(ctx)
		if err == nil && !complete {
			err = click.ErrSeenNotReady
		}
		return err
	})
}

func attempt(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return try(ctx)
}

// outage is one span of a step's failing, said once when it begins and once
// when it ends, not at every try.
type outage struct {
	began        time.Time
	rebuildAsked time.Time
	rebuildFault bool // a failure to ask was said
}

func (o *outage) met(i *Ingester, s step, err error) {
	i.metrics.retries.WithLabelValues(string(s)).Inc()
	if o.began.IsZero() {
		o.began = time.Now()
		i.Log.Warn("waiting, the offsets stay", "step", s, "error", err)
	}
}

func (o *outage) over(i *Ingester, s step) {
	if !o.began.IsZero() {
		i.Log.Info("going on", "step", s, "waited", time.Since(o.began).Round(time.Millisecond).String())
	}
}

func (o *outage) askForRebuild(ctx context.Context, i *Ingester) {
	if time.Since(o.rebuildAsked) < rebuildAskInterval {
		return
	}
	err := attempt(ctx, i.RebuildSeen)
	switch {
	case err == nil:
		o.rebuildAsked = time.Now()
		i.Log.Info("the seen index is being rebuilt from the store; going on when it is complete")
	case !o.rebuildFault:
		o.rebuildFault = true
		i.Log.Warn("ask for a rebuild of the seen index, trying on", "error", err)
	}
}

func (p pace) newWait() *backoff.ExponentialBackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = p.retryMin, p.retryMax, 2
	wait.Reset()
	return wait
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
