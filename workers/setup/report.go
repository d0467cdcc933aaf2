package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"clickledger/internal/click"
)

const (
	attemptTimeout = 20 * time.Second
	serverWaitMax  = time.Minute // for a server that is not there yet
	serverPause    = 250 * time.Millisecond
)

// step is one part of the set-up; do says in a sentence what it did. It is safe
// to repeat.
type step struct {
	name    string
	timeout time.Duration // of an attempt; 0: attemptTimeout
	do      func(context.Context) (string, error)
}

// report runs steps and prints one line for what each did.
type report struct {
	mu  sync.Mutex
	out io.Writer
}

func (r *report) line(name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "%-11s %s\n", name, text)
}

// all runs the steps side by side; the first to fail ends the others.
func (r *report) all(ctx context.Context, steps ...step) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, each := range steps {
		group.Go(func() error { return r.run(ctx, each) })
	}
	return group.Wait()
}

// run repeats a step while its server is away, and says once that it waits.
func (r *report) run(ctx context.Context, s step) error {
	deadline := time.Now().Add(serverWaitMax)
	waiting := false
	for {
		did, err := attempt(ctx, s)
		if err == nil {
			r.line(s.name, did)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !mayPass(err) {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: gave up after %v: %w", s.name, serverWaitMax, err)
		}
		if !waiting {
			waiting = true
			r.line(s.name, "is not ready, waiting: "+err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(serverPause):
		}
	}
}

func attempt(ctx context.Context, s step) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.timeout, attemptTimeout))
	defer cancel()
	return s.do(ctx)
}

// mayPass reports whether an error may go away by itself: the server is not
// there yet, or what was just created is not known everywhere.
func mayPass(err error) bool {
	var network net.Error
	var unavailable *serviceerror.Unavailable
	var deadline *serviceerror.DeadlineExceeded
	var namespace *serviceerror.NamespaceNotFound
	return errors.Is(err, click.ErrUnavailable) ||
		errors.Is(err, errNotKnownYet) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) ||
		errors.As(err, &network) ||
		errors.As(err, &unavailable) ||
		errors.As(err, &deadline) ||
		errors.As(err, &namespace)
}
