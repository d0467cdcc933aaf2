package main

import (
	"context"
	"sync"
	"time"
)

// sealedFresh is how long how far minutes are sealed is told again without
// asking. An older answer is never wrong, only shorter: what it leaves out is
// counted from the clicks.
const sealedFresh = 250 * time.Millisecond

// recentSeal spares the store two queries for each of many reports at once.
type recentSeal struct {
	mu      sync.Mutex
	through time.Time
	read    time.Time
}

// sealedThrough is what ask answered a moment ago, or answers now.
func (r *recentSeal) sealedThrough(ctx context.Context, ask func(context.Context) (time.Time, error)) (time.Time, error) {
	r.mu.Lock()
	through, fresh := r.through, time.Since(r.read) < sealedFresh
	r.mu.Unlock()
	if fresh {
		return through, nil
	}
	began := time.Now()
	through, err := ask(ctx)
	if err != nil {
		return time.Time{}, err
	}
	r.mu.Lock()
	r.through, r.read = through, began
	r.mu.Unlock()
	return through, nil
}
