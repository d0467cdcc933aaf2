package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"clickledger/internal/click"
)

const (
	adOverheadBytes   = 320 // of one entry: struct, header value, the cache's own node
	adLife            = 10 * time.Minute
	unknownAdLife     = 2 * time.Second
	adLoadTimeout     = 2 * time.Second
	staleAdRetryAfter = time.Second
	changeCounters    = 1024
)

// sharedAds is the cache that all gateways share. Get answers
// click.ErrNotFound for what it does not hold.
type sharedAds interface {
	Get(ctx context.Context, adID int64) (click.Ad, error)
	Put(ctx context.Context, ads ...click.Ad) error
}

// adReader is the store: what is not there does not exist.
type adReader interface {
	Ad(ctx context.Context, adID int64) (click.Ad, error)
}

// Ads looks ads up: in process, else in the shared cache, else in the store.
// Entries live ten minutes at most and are dropped when the shared cache tells
// of a change. It is safe for concurrent use.
type Ads struct {
	shared sharedAds
	store  adReader

	entries *otter.Cache[int64, *adEntry]
	loads   singleflight.Group
	// generation grows when changes may have been missed: entries of an older
	// one are looked up again, and served as they are only if that fails.
	generation atomic.Uint64
	// changes count what was told of each group of ads, so that a look-up that
	// was overtaken by a change is not kept.
	changes [changeCounters]atomic.Uint64

	hits, misses prometheus.Counter
}

// adEntry is what is known of an ad: the ad, or that there is none.
type adEntry struct {
	ad         click.Ad
	location   []string // the header value, made once
	missing    bool
	generation uint64
	expires    time.Time
	trusted    time.Time // an older generation is good until then: the servers were just asked in vain
}

// NewAds makes the look-up over a shared cache and the store. In process it
// keeps some bytesMax.
func NewAds(shared sharedAds, store adReader, bytesMax int64) (*Ads, error) {
	if shared == nil || store == nil || bytesMax <= 0 {
		return nil, errors.New("ads need a shared cache, a store and some room")
	}
	entries, err := otter.New(&otter.Options[int64, *adEntry]{
		MaximumWeight: uint64(bytesMax),
		Weigher: func(_ int64, e *adEntry) uint32 {
			return uint32(adOverheadBytes + len(e.ad.LandingURL) + len(e.ad.Name))
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[int64, *adEntry]) time.Duration {
			return max(time.Until(e.Value.expires), time.Millisecond)
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("make the cache of ads: %w", err)
	}
	return &Ads{
		shared: shared, store: store, entries: entries,
		hits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clickledger_gateway_ads_hits_total",
			Help: "Look-ups of ads that were answered in process.",
		}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clickledger_gateway_ads_misses_total",
			Help: "Look-ups of ads that had to ask the shared cache, or the store.",
		}),
	}, nil
}

// Watch exposes how much is kept, and how often it was enough.
func (a *Ads) Watch(registry prometheus.Registerer) {
	registry.MustRegister(a.hits, a.misses,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "clickledger_gateway_ads_cached",
			Help: "Ads kept in process.",
		}, func() float64 { return float64(a.entries.EstimatedSize()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "clickledger_gateway_ads_cached_bytes",
			Help: "Memory of the ads kept in process, as it is bounded.",
		}, func() float64 { return float64(a.entries.WeightedSize()) }))
}

// Get is an ad; click.ErrNotFound when there is none, click.ErrUnavailable
// when it is not known here and nothing could be asked.
func (a *Ads) Get(ctx context.Context, adID int64) (click.Ad, error) {
	entry, err := a.entry(ctx, adID, time.Now())
	if err != nil {
		return click.Ad{}, err
	}
	return entry.ad, nil
}

// Changed drops what is kept of ads; with no ids, everything is doubted.
func (a *Ads) Changed(adIDs []int64) {
	if adIDs == nil {
		a.generation.Add(1)
		return
	}
	for _, id := range adIDs {
		a.changes[uint64(id)%changeCounters].Add(1)
		a.loads.Forget(strconv.FormatInt(id, 10))
		a.entries.Invalidate(id)
	}
}

// Publish tells every gateway of rows that were just written to the store. It
// is best effort: the store has them.
func (a *Ads) Publish(ctx context.Context, ads ...click.Ad) error {
	err := a.shared.Put(ctx, ads...)
	for _, ad := range ads {
		a.Changed([]int64{ad.ID})
		if err != nil { // the shared cache may hold the old row: what was written wins here
			a.keep(ad.ID, a.generation.Load(), a.counter(ad.ID), newAdEntry(ad))
		}
	}
	return err
}

func (a *Ads) entry(ctx context.Context, adID int64, now time.Time) (*adEntry, error) {
	entry, known := a.entries.GetIfPresent(adID)
	if !known || (entry.generation != a.generation.Load() && !now.Before(entry.trusted)) {
		var err error
		a.misses.Inc()
		if entry, err = a.refresh(ctx, adID, now, entry); err != nil {
			return nil, err
		}
	} else {
		a.hits.Inc()
	}
	if entry.missing {
		return nil, click.ErrNotFound
	}
	return entry, nil
}

// refresh looks an ad up, once for all who ask at the same time. If that fails,
// a known ad is served stale.
func (a *Ads) refresh(ctx context.Context, adID int64, now time.Time, stale *adEntry) (*adEntry, error) {
	loading := a.loads.DoChan(strconv.FormatInt(adID, 10), func() (any, error) {
		// Not the first asker's context: the others wait for the answer too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adLoadTimeout)
		defer cancel()
		return a.load(ctx, adID)
	})
	var err error
	select {
	case result := <-loading:
		if result.Err == nil {
			return result.Val.(*adEntry), nil
		}
		err = result.Err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if stale == nil || stale.missing {
		return nil, fmt.Errorf("look up ad: %w: %w", click.ErrUnavailable, err)
	}
	again := *stale
	again.trusted = now.Add(staleAdRetryAfter)
	a.entries.ComputeIfPresent(adID, func(there *adEntry) (*adEntry, otter.ComputeOp) {
		if there != stale { // somebody knows better
			return there, otter.CancelOp
		}
		return &again, otter.WriteOp
	})
	return stale, nil
}

func (a *Ads) load(ctx context.Context, adID int64) (*adEntry, error) {
	generation, changes := a.generation.Load(), a.counter(adID)
	ad, err := a.shared.Get(ctx, adID)
	if err == nil {
		entry := newAdEntry(ad)
		a.keep(adID, generation, changes, entry)
		return a.newer(adID, entry), nil
	}
	cacheAnswers := errors.Is(err, click.ErrNotFound)
	ad, err = a.store.Ad(ctx, adID)
	if errors.Is(err, click.ErrNotFound) {
		entry := &adEntry{missing: true, expires: time.Now().Add(unknownAdLife)}
		a.keep(adID, generation, changes, entry)
		return entry, nil
	}
	if err != nil {
		return nil, err
	}
	entry := newAdEntry(ad)
	a.keep(adID, generation, changes, entry)
	if cacheAnswers {
		_ = a.shared.Put(ctx, ad) // it only saves the next gateway a query
	}
	return entry, nil
}

// newer is what is known here instead of an entry, if that is newer: the shared
// cache may still have an old row after an outage.
func (a *Ads) newer(adID int64, entry *adEntry) *adEntry {
	if there, found := a.entries.GetIfPresent(adID); found && there.ad.Revision() > entry.ad.Revision() {
		return there
	}
	return entry
}

// keep stores an entry unless a change was told of since changes was read. The
// look-up goes on with what it found: it began before the change.
func (a *Ads) keep(adID int64, generation, changes uint64, entry *adEntry) {
	entry.generation = generation
	a.entries.Compute(adID, func(there *adEntry, found bool) (*adEntry, otter.ComputeOp) {
		if a.counter(adID) != changes || (found && there.ad.Revision() > entry.ad.Revision()) {
			return there, otter.CancelOp
		}
		return entry, otter.WriteOp
	})
}

func (a *Ads) counter(adID int64) uint64 { return a.changes[uint64(adID)%changeCounters].Load() }

func newAdEntry(ad click.Ad) *adEntry {
	return &adEntry{ad: ad, location: []string{ad.LandingURL}, expires: time.Now().Add(adLife)}
}
