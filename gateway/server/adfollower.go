package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"clickledger/internal/click"
)

const (
	// followInterval is how often the store is asked what was changed: a change
	// takes effect here within twice that, whoever else is away.
	followInterval = 350 * time.Millisecond
	followTimeout  = 2 * time.Second
	// followReach is how late a note may be seen: its insert takes that long at most.
	followReach = 30 * time.Second
	// retellReach is a little longer than rows live in the shared cache. What was
	// changed before that, no old row can be left of.
	retellReach = 70 * time.Minute
	// retellMax is how many ads the cache is told of at a time.
	retellMax = 1_000
)

// adChanges is the store's account of which ads were changed.
type adChanges interface {
	AdChanges(ctx context.Context, since time.Time, reach time.Duration) (changes []click.AdChange, asked time.Time, err error)
	AdsByID(ctx context.Context, adIDs []int64) ([]click.Ad, error)
}

// AdFollower reads in the store which ads were changed, has them looked up again
// here, and tells the shared cache of them. Usually the cache has told of them
// before: this is for when it, the way to it, or who should have told it was
// away. Whenever the cache was lost, it is told once more of all that an old row
// may be left of. Reading never waits for telling.
type AdFollower struct {
	ads   *Ads
	store adChanges
	log   *slog.Logger

	asked time.Time        // by the store's clock; zero: never
	heard map[int64]uint64 // the versions that were told here, of the last followReach
	away  bool             // the store is

	lost   atomic.Bool // the cache was: what an old row may be left of is to be read
	mu     sync.Mutex
	untold map[int64]bool // ads that the cache is to be told of
	some   chan struct{}
}

// NewAdFollower follows the changes in a store.
func NewAdFollower(ads *Ads, store adChanges, log *slog.Logger) *AdFollower {
	f := &AdFollower{
		ads: ads, store: store, log: log, heard: map[int64]uint64{}, untold: map[int64]bool{}, some: make(chan struct{}, 1),
	}
	f.lost.Store(true)
	return f
}

// Changed is Ads.Changed, for the shared cache to call.
func (f *AdFollower) Changed(adIDs []int64) {
	f.ads.Changed(adIDs)
	if adIDs == nil {
		f.lost.Store(true)
		f.wake()
	}
}

// Run follows until ctx ends.
func (f *AdFollower) Run(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	both.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.some:
				f.tell(ctx)
			}
		}
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.look(ctx)
		}
	}
}

// Follow looks and tells once, before Run.
func (f *AdFollower) Follow(ctx context.Context) {
	f.look(ctx)
	f.tell(ctx)
}

// look has what is new looked up again here, and wakes who tells the cache.
func (f *AdFollower) look(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	changes, asked, err := f.store.AdChanges(looking, f.asked, followReach)
	switch {
	case err != nil && !f.away && ctx.Err() == nil:
		f.log.Warn("the store does not tell which ads were changed: what the cache does not tell takes effect when it does", "error", err)
	case err == nil && f.away:
		f.log.Info("the store tells again which ads were changed")
	}
	if f.away = err != nil; f.away {
		return
	}
	heard := make(map[int64]uint64, len(changes))
	var ids []int64
	for _, c := range changes {
		heard[c.AdID] = c.Version
		switch {
		case f.heard[c.AdID] == c.Version:
		case c.AdID == 0:
			f.ads.Changed(nil)
		default:
			ids = append(ids, c.AdID)
		}
	}
	f.asked, f.heard = asked, heard
	if len(ids) > 0 { // without any it would mean: all
		f.ads.Changed(ids)
	}
	f.add(ids)
	if f.lost.Load() || f.anyUntold() {
		f.wake()
	}
}

// tell tells the cache of a part of what it has not been told.
func (f *AdFollower) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if f.lost.Swap(false) {
		changes, _, err := f.store.AdChanges(ctx, time.Time{}, retellReach)
		if err != nil {
			f.lost.Store(true) // the next look wakes us, once the store answers
			return
		}
		ids := make([]int64, 0, len(changes))
		for _, c := range changes {
			if c.AdID != 0 {
				ids = append(ids, c.AdID)
			}
		}
		f.add(ids)
	}
	some := f.take()
	if len(some) == 0 {
		return
	}
	ads, err := f.store.AdsByID(ctx, some)
	if err != nil {
		f.add(some)
		return
	}
	// What the cache does not take it is told when it is back: then it was lost.
	if err := f.ads.Publish(ctx, ads...); err != nil {
		f.log.Debug("changed ads will be told to the cache when it is back", "ads", len(ads), "error", err)
	}
}

func (f *AdFollower) add(ids []int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.untold[id] = true
	}
}

func (f *AdFollower) anyUntold() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.untold) > 0
}

// take is what to tell now; what is left wakes us again.
func (f *AdFollower) take() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []int64
	for id := range f.untold {
		if len(ids) == retellMax {
			f.wake()
			break
		}
		ids = append(ids, id)
		delete(f.untold, id)
	}
	return ids
}

func (f *AdFollower) wake() {
	select {
	case f.some <- struct{}{}:
	default:
	}
}
