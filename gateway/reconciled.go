package main

import (
	"context"
	"sync"
	"time"
)

const (
	// reconciledFresh is how long how far lake and store agree is told again
	// without asking: it moves once an hour.
	reconciledFresh      = 10 * time.Second
	reconciledAskTimeout = time.Second
)

// recentReconciled spares the store a query for each report. No report waits for
// it but the one that asks, and none fails because of it.
type recentReconciled struct {
	mu      sync.Mutex
	asking  bool
	through time.Time
	read    time.Time
}

// reconciledThrough is what ask answered a moment ago, or answers now; zero
// when it does not.
func (r *recentReconciled) reconciledThrough(ctx context.Context, ask func(context.Context) (time.Time, error)) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking || time.Since(r.read) < reconciledFresh {
		return r.through
	}
	r.asking = true
	r.mu.Unlock()
	// Not the asker's context: what is told to the others does not depend on whether that one's question is given up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconciledAskTimeout)
	through, err := ask(ctx)
	cancel()
	r.mu.Lock()
	r.asking = false
	if err != nil {
		through = time.Time{} // what is not known is not told
	}
	r.through, r.read = through, time.Now()
	return through
}
