package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

const (
	// filteredInterval is how often what was not counted is reported.
	filteredInterval = time.Second
	// filteredKeysMax bounds the memory: so many (minute, ad, reason) are held
	// for the next report, and as many again in one that is under way.
	filteredKeysMax = 50_000
	// filteredSendTimeout bounds one try to report.
	filteredSendTimeout = 5 * time.Second
	// filteredStopTimeout bounds the last one, when the gateway stops.
	filteredStopTimeout = 2 * time.Second
)

// filteredSender makes reports durable. Sending the same again is harmless.
type filteredSender interface {
	SendFiltered(ctx context.Context, entries []click.Filtered) error
}

// FilteredReporter counts the clicks that were redirected but not produced and
// reports them every second. It costs a click a moment's lock, never a wait.
//
// While Kafka is away it goes on counting as far as its bound reaches; what it
// cannot hold it drops, and says so in a metric. What was not reported when the
// process dies is lost.
type FilteredReporter struct {
	sender   filteredSender
	log      *slog.Logger
	instance uint64

	mu     sync.Mutex
	counts map[filteredKey]uint64 // since the last report

	// Of the one goroutine that reports.
	sequence uint64
	pending  []click.Filtered // the report under way; its ids are fixed
	failing  bool

	reported, dropped prometheus.Counter
}

type filteredKey struct {
	window           click.Window
	advertiserID, ad int64
	reason           click.Verdict
}

// newFilteredReporter makes a reporter with an instance number of its own:
// neither another reporter's ids nor an arrival id is ever equal to one of its.
func newFilteredReporter(sender filteredSender, log *slog.Logger, registry prometheus.Registerer) (*FilteredReporter, error) {
	var instance [8]byte
	if _, err := rand.Read(instance[:]); err != nil {
		return nil, fmt.Errorf("draw an instance number: %w", err)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "clickledger_gateway_filtered_" + name, Help: help})
	}
	r := &FilteredReporter{
		sender: sender, log: log, instance: binary.BigEndian.Uint64(instance[:]), counts: map[filteredKey]uint64{},
		reported: counter("reported_total", "Clicks that were redirected but not produced, and reported as such."),
		dropped:  counter("dropped_total", "Such clicks that were not reported, for want of room while Kafka was away: they are missing in filtered."),
	}
	registry.MustRegister(r.reported, r.dropped)
	return r, nil
}

// add counts one click that arrived at the given time.
func (r *FilteredReporter) add(arrived time.Time, ad *click.Ad, reason click.Verdict) {
	key := filteredKey{click.WindowOf(arrived), ad.AdvertiserID, ad.ID, reason}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.counts[key]; !known && len(r.counts) >= filteredKeysMax {
		r.dropped.Inc()
		return
	}
	r.counts[key]++
}

// Run reports until ctx ends, and then once more. Call it until the last click
// was answered.
func (r *FilteredReporter) Run(ctx context.Context) {
	ticker := time.NewTicker(filteredInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.report(ctx, filteredSendTimeout)
		case <-ctx.Done():
			r.finish(context.WithoutCancel(ctx))
			return
		}
	}
}

// finish sends the report that is under way, and what came since.
func (r *FilteredReporter) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, filteredStopTimeout)
	defer cancel()
	if len(r.pending) > 0 {
		r.report(ctx, filteredStopTimeout)
	}
	if len(r.pending) == 0 {
		r.report(ctx, filteredStopTimeout)
	}
	if lost := sumOf(r.pending) + sumOf(r.take()); lost > 0 {
		r.dropped.Add(float64(lost))
		r.log.Error("stopped without reporting clicks that were not counted", "clicks", lost)
	}
}

// report sends what is not reported yet. One that failed is sent again as it
// was, with the same ids: it may have arrived.
func (r *FilteredReporter) report(ctx context.Context, timeout time.Duration) {
	if len(r.pending) == 0 {
		r.pending = r.take()
	}
	if len(r.pending) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := r.sender.SendFiltered(ctx, r.pending)
	if err != nil {
		if !r.failing {
			r.log.Warn("clicks that were not counted wait to be reported", "error", err)
		}
		r.failing = true
		return
	}
	r.failing = false
	r.reported.Add(float64(sumOf(r.pending)))
	r.pending = nil
}

// swap takes the counts away: from then on nothing is added to them, so they
// can be read without the lock.
func (r *FilteredReporter) swap() map[filteredKey]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.counts
	r.counts = map[filteredKey]uint64{}
	return counts
}

// take ends a span of counting and gives its entries their ids.
func (r *FilteredReporter) take() []click.Filtered {
	counts := r.swap()
	entries := make([]click.Filtered, 0, len(counts))
	for key, count := range counts {
		r.sequence++
		entries = append(entries, click.Filtered{
			Window: key.window, AdvertiserID: key.advertiserID, AdID: key.ad, Reason: key.reason,
			Count: count, ID: click.NewArrivalID(r.instance, r.sequence),
		})
	}
	return entries
}

func sumOf(entries []click.Filtered) uint64 {
	sum := uint64(0)
	for i := range entries {
		sum += entries[i].Count
	}
	return sum
}

// notCounted is the outcome of a click that is redirected only.
func (r *Recorder) notCounted(verdict click.Verdict, ad *adEntry, arrived, clickedAt time.Time) recorded {
	r.filtered.add(arrived, &ad.ad, verdict)
	return recorded{verdict: verdict, ad: ad, clickedAt: clickedAt}
}
