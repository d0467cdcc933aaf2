package main

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// sealedFresh is how long how far minutes are sealed is told again without
	// asking. An older answer is never wrong, only shorter: what it leaves out is
	// counted from the clicks.
	sealedFresh = 250 * time.Millisecond
	// sealedAskTimeout bounds one question that several reports wait for.
	sealedAskTimeout = 5 * time.Second
)

// recentSeal spares the store two queries for each of many reports at once.
// Questions follow one another and never overlap: of two at a time the slower
// could put back what was told, and a final figure would be provisional again.
type recentSeal struct {
	asking  singleflight.Group
	mu      sync.Mutex
	through time.Time
	read    time.Time
}

// sealedThrough is what ask answered a moment ago, or answers now.
func (r *recentSeal) sealedThrough(ctx context.Context, ask func(context.Context) (time.Time, error)) (time.Time, error) {
	if through, fresh := r.recent(); fresh {
		return through, nil
	}
	asked := r.asking.DoChan("", func() (any, error) {
		// Not the first asker's context: the others wait for the answer too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealedAskTimeout)
		defer cancel()
		began := time.Now()
		through, err := ask(ctx)
		if err != nil {
			return time.Time{}, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.through, r.read = through, began
		return through, nil
	})
	select {
	case result := <-asked:
		return result.Val.(time.Time), result.Err
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

func (r *recentSeal) recent() (through time.Time, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.through, time.Since(r.read) < sealedFresh
}
