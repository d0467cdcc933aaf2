package server

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	// watchInterval is how often clicks that are not sealed are counted for all
	// watchers together. With an insert each 700 ms a click is told of within 2 s.
	watchInterval = 400 * time.Millisecond
	// watchLedgerInterval is how often it is asked what was sealed or restated.
	watchLedgerInterval = time.Second
	// watchShare bounds what watching asks of the store: after each poll it rests
	// so many times as long as that took, at most watchRestMax.
	watchShare   = 4
	watchRestMax = 5 * time.Second
	// watchJoinPause is the shortest rest when somebody new waits for a snapshot; it
	// is as long as the poll took at least.
	watchJoinPause   = 100 * time.Millisecond
	watchPollTimeout = 10 * time.Second
	// watchStaleMax is how long figures may be unknown before watchers are told.
	watchStaleMax = 20 * time.Second

	watchersMax       = 1_000 // of a gateway
	watchersPerKeyMax = 20
	watchAdsMax       = 10_000 // named by all watchers of a gateway together
	// watchFiguresMax is how many figures of minutes of its ads may be watched of
	// one advertiser, and watchEntriesMax what a gateway keeps for all watchers.
	watchFiguresMax = pointsMax
	watchEntriesMax = 1_000_000
	// A watcher that reads slowly has so much waiting for it at most.
	watchBatchesMax = 16
	watchPendingMax = 2 * pointsMax
)

// Why a call ends that did not have to.

func watchSlow() error {
	return exhaustedf("you read too slowly: call again with the resume_token of the last answer you have")
}

func watchTooMuch() error {
	return exhaustedf("there are more figures of single ads in this range than can be watched (%s): let start_time be later, or name fewer ads in ad_ids", thousands(watchFiguresMax))
}

func watchFull() error {
	return exhaustedf("this gateway holds as many figures for watchers as it may: let start_time be later, or call again in a moment")
}

func watchStopping() error {
	return unavailable("this gateway stops: call again with the resume_token of the last answer you have")
}

func watchStale() error {
	return unavailable("the figures cannot be read just now: call again in a moment with the resume_token of the last answer you have")
}

// liveStore is where the recent minutes are read, for all watchers at once.
type liveStore interface {
	SealedThrough(ctx context.Context) (time.Time, error)
	LiveFresh(ctx context.Context, q LiveQuery) ([]LiveFigure, error)
	LiveSealed(ctx context.Context, q LiveQuery) ([]LiveFigure, error)
	LiveRestated(ctx context.Context, q LiveQuery) ([]LiveFigure, error)
	LiveSeals(ctx context.Context, from, to time.Time) ([]LiveFigure, error)
	LiveAnnounced(ctx context.Context, advertisers []int64, from, to time.Time) ([]LiveFigure, error)
}

// watchHub reads what all watchers of this gateway watch, with a few queries for
// all of them, and hands each what changed. It runs while somebody watches.
type watchHub struct {
	store   liveStore
	log     *slog.Logger
	metrics *watchMetrics
	// sendTimeout is how long one answer may take on its way.
	sendTimeout time.Duration
	entriesMax  int // figures kept for all

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	perKey   map[int64]int
	joined   uint64
	ads      int // named by them
	stop     context.CancelFunc
	closed   bool
	polls    sync.WaitGroup
	wake     chan struct{}

	// The poll's own.
	feeds   map[feedKey]*feed
	through time.Time // sealed, as of the last look at the ledger
	looked  time.Time
	seals   map[click.Window]uint64
}

// watcher is one call of WatchClicks.
type watcher struct {
	number  uint64 // in the order in which they joined
	keyID   int64
	asked   watchAsk
	feeds   []feedKey
	token   string // to begin again
	points  *watchPoints
	begun   bool
	out     chan *v1.WatchClicksResponse
	pending atomic.Int64 // points in out
	ended   chan struct{}
	reason  error // once ended is closed
}

func newWatchHub(store liveStore, log *slog.Logger, registry prometheus.Registerer) *watchHub {
	h := &watchHub{
		store: store, log: log, sendTimeout: watchSendTimeout, entriesMax: watchEntriesMax, watchers: map[*watcher]struct{}{}, perKey: map[int64]int{},
		wake: make(chan struct{}, 1), feeds: map[feedKey]*feed{}, seals: map[click.Window]uint64{},
	}
	h.metrics = newWatchMetrics(registry, func() float64 {
		h.mu.Lock()
		defer h.mu.Unlock()
		return float64(len(h.watchers))
	})
	return h
}

// join begins to watch, or says why not. Whoever joined has to leave.
func (h *watchHub) join(keyID int64, asked watchAsk) (*watcher, error) {
	w := &watcher{
		keyID: keyID, asked: asked, feeds: asked.feeds(), points: newWatchPoints(asked),
		out: make(chan *v1.WatchClicksResponse, watchBatchesMax), ended: make(chan struct{}),
	}
	w.token = w.points.token()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, watchStopping()
	case len(h.watchers) >= watchersMax:
		return nil, exhaustedf("%s calls watch at this gateway, as many as may: try again in a moment", thousands(watchersMax))
	case h.perKey[keyID] >= watchersPerKeyMax:
		return nil, exhaustedf("%d calls of this API key watch at this gateway, as many as may: end one of them", watchersPerKeyMax)
	case h.ads+len(asked.ads) > watchAdsMax:
		return nil, exhaustedf("%s ads are watched by name at this gateway, as many as may: leave ad_ids away, or try again in a moment", thousands(watchAdsMax))
	}
	h.joined++
	w.number = h.joined
	h.watchers[w] = struct{}{}
	h.perKey[keyID]++
	h.ads += len(asked.ads)
	if h.stop == nil {
		ctx, cancel := context.WithCancel(context.Background()) // of no call: it serves all
		h.stop = cancel
		h.polls.Go(func() { h.run(ctx) })
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return w, nil
}

// leave ends watching. Whoever has been ended may leave all the same.
func (h *watchHub) leave(w *watcher) { h.end(w, "left", nil) }

// end takes a watcher out and tells it the reason; why is for the metrics.
func (h *watchHub) end(w *watcher, why string, reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, watches := h.watchers[w]; !watches {
		return
	}
	h.metrics.ended.WithLabelValues(why).Inc()
	delete(h.watchers, w)
	h.ads -= len(w.asked.ads)
	if h.perKey[w.keyID]--; h.perKey[w.keyID] == 0 {
		delete(h.perKey, w.keyID)
	}
	w.reason = reason
	close(w.ended)
}

// close ends all watchers and takes no more.
func (h *watchHub) close() {
	h.mu.Lock()
	h.closed = true
	stop := h.stop
	h.mu.Unlock()
	if stop != nil {
		stop()
	}
	h.polls.Wait()
	for _, w := range h.all() {
		h.end(w, "stopping", watchStopping())
	}
}

// all are the watchers, the longest watching first: what there is no room for is
// the newest.
func (h *watchHub) all() []*watcher {
	h.mu.Lock()
	defer h.mu.Unlock()
	watchers := make([]*watcher, 0, len(h.watchers))
	for w := range h.watchers {
		watchers = append(watchers, w)
	}
	slices.SortFunc(watchers, func(a, b *watcher) int { return cmp.Compare(a.number, b.number) })
	return watchers
}

// run polls until nobody watches.
func (h *watchHub) run(ctx context.Context) {
	good, failing := time.Now(), false
	for !h.idle() {
		began := time.Now()
		err := h.pollThere(ctx, began)
		took := time.Since(began)
		h.metrics.poll.Observe(took.Seconds())
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			good, failing = began, false
		case !failing:
			failing = true
			h.log.Warn("the figures that are watched cannot be read", "error", err)
		}
		if err != nil && time.Since(good) >= watchStaleMax {
			for _, w := range h.all() {
				h.end(w, "stale", watchStale())
			}
			good = time.Now() // whoever joins now waits as long
		}
		if !h.rest(ctx, min(max(watchJoinPause, took), watchRestMax), min(max(watchInterval, watchShare*took), watchRestMax)) {
			return
		}
	}
}

// rest waits, but not long when somebody joined.
func (h *watchHub) rest(ctx context.Context, ifJoined, pause time.Duration) bool {
	soon, late := time.NewTimer(ifJoined), time.NewTimer(pause)
	defer soon.Stop()
	defer late.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-soon.C:
	}
	select {
	case <-ctx.Done():
		return false
	case <-late.C:
	case <-h.wake:
	}
	return true
}

// idle reports whether nobody watches: then the next who joins starts anew.
func (h *watchHub) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) > 0 {
		return false
	}
	h.stop()
	h.stop = nil
	h.feeds, h.seals, h.looked = map[feedKey]*feed{}, map[click.Window]uint64{}, time.Time{}
	return true
}

// give hands a watcher what changed. One that does not take it is in nobody's
// way: it is ended.
func (h *watchHub) give(w *watcher, moved bool) {
	points := w.points.changed(h.through)
	switch {
	case w.points.byAd && w.points.series > watchFiguresMax:
		h.end(w, "too_much", watchTooMuch())
		return
	case w.begun && !moved && len(points) == 0:
		return
	}
	message := &v1.WatchClicksResponse{
		Points: points, SealedThrough: timeToProto(h.through), ResumeToken: w.points.token(), Snapshot: !w.begun,
	}
	w.begun = true
	if w.pending.Add(int64(len(points))) > watchPendingMax {
		h.end(w, "slow", watchSlow())
		return
	}
	select {
	case w.out <- message:
	default:
		h.end(w, "slow", watchSlow())
	}
}

// advertisersOf are the advertisers of feeds, each once.
func advertisersOf(feeds map[feedKey]*feed) []int64 {
	ids := make([]int64, 0, len(feeds))
	for key := range feeds {
		ids = append(ids, key.advertiserID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
