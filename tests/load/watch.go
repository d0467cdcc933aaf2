package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	probeInterval = 200 * time.Millisecond
	askInterval   = 500 * time.Millisecond // each costs the store some 30 ms of CPU
	askSeldom     = 10 * time.Second       // for a curve: what a question costs is no part of what a click costs
	probeTokens   = 10_000                 // of one ask
	latencyDigits = 3
	finalTimeout  = 4 * time.Minute
)

// watch looks at the running system as an advertiser would: it clicks an ad of
// its own every 200 ms and asks every now and then how many of these clicks are
// counted and through which minute figures are final.
type watch struct {
	admin  *client.API
	probe  *client.Advertiser
	http   *http.Client
	tokens []string
	asks   time.Duration // from one question to the next
	end    context.CancelFunc
	both   sync.WaitGroup
	// promised is every click there was, to be compared with; set by promise.
	promised *oracle.Oracle

	clicking sync.Mutex // held while a click is being made
	quiet    bool       // no more clicks; guarded by clicking

	mu        sync.Mutex
	clicks    []time.Time // when each acknowledged click was sent
	made      []time.Time // the same clicks' event times
	shown     int         // how many of clicks are counted
	failures  map[string]int64
	queryable *hdrhistogram.Histogram // milliseconds
	began     time.Time
	sealed    map[time.Time]time.Time // minute's end → when it was first seen sealed
	through   time.Time
}

func newWatch(ctx context.Context, admin *client.API, probe *client.Advertiser, asks time.Duration) (*watch, error) {
	w := &watch{
		admin: admin, probe: probe, asks: asks, http: client.NewHTTP(), failures: map[string]int64{},
		queryable: hdrhistogram.New(1, finalTimeout.Milliseconds(), latencyDigits),
		sealed:    map[time.Time]time.Time{},
	}
	return w, w.topUp(ctx)
}

func (w *watch) topUp(ctx context.Context) error {
	impressions, err := w.admin.Issue(ctx, w.probe.Ads[0].GetAdId(), probeTokens)
	if err != nil {
		return err
	}
	for _, impression := range impressions {
		w.tokens = append(w.tokens, impression.GetToken())
	}
	return nil
}

// start begins to click and to ask, until stop.
func (w *watch) start(ctx context.Context) {
	ctx, w.end = context.WithCancel(ctx)
	w.began = time.Now()
	w.both.Go(func() { every(ctx, probeInterval, w.click) })
	w.both.Go(func() { every(ctx, w.asks, w.ask) })
}

func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		do(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (w *watch) click(ctx context.Context) {
	w.clicking.Lock()
	defer w.clicking.Unlock()
	if w.quiet {
		return
	}
	if len(w.tokens) == 0 && w.topUp(ctx) != nil {
		return
	}
	token := w.tokens[0]
	w.tokens = w.tokens[1:]
	sent := time.Now()
	answer, err := client.Click(ctx, w.http, w.admin.URL, token)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.failures["probe without answer"]++
	case !answer.Recorded():
		w.failures[fmt.Sprintf("probe status %d", answer.Status)]++
	default:
		w.clicks = append(w.clicks, sent)
		w.made = append(w.made, answer.ClickedAt)
	}
}

// ask sees what is counted by now. The probe's clicks are all in one
// partition and in order, so the n-th is counted when n are.
func (w *watch) ask(ctx context.Context) {
	from := w.began.Truncate(time.Minute)
	counted, through, err := w.admin.Total(ctx, w.probe.ID, from, time.Now().Truncate(time.Minute).Add(time.Minute))
	if err != nil {
		return // the next one will do; a lasting fault fails the comparison
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.shown < int(counted) && w.shown < len(w.clicks) {
		_ = w.queryable.RecordValue(now.Sub(w.clicks[w.shown]).Milliseconds())
		w.shown++
	}
	w.through = through
	for end := from.Add(time.Minute); !end.After(through); end = end.Add(time.Minute) {
		if _, seen := w.sealed[end.UTC()]; !seen {
			w.sealed[end.UTC()] = now
		}
	}
}

// stopClicking returns when the last click is answered.
func (w *watch) stopClicking() {
	w.clicking.Lock()
	defer w.clicking.Unlock()
	w.quiet = true
}

func (w *watch) stop() {
	w.end()
	w.both.Wait()
}

// waitFinal returns when every minute of what was promised is sealed.
func (w *watch) waitFinal(ctx context.Context) error {
	_, end := w.promised.Range()
	return poll.Until(ctx, finalTimeout, askInterval, func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.through.Before(end) {
			return fmt.Errorf("sealed only through %s, not %s", w.through.Format(time.TimeOnly), end.Format(time.TimeOnly))
		}
		return nil
	})
}

// sent is how many clicks the watch made itself.
func (w *watch) sent() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := int64(len(w.clicks))
	for _, n := range w.failures {
		sum += n
	}
	return sum
}

// promise begins what is promised with the watch's own clicks.
func (w *watch) promise() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.promised = new(oracle.Oracle)
	for _, clickedAt := range w.made {
		w.promised.Add(w.probe.Ads[0].GetAdId(), true, clickedAt)
	}
}

// finalAfter is the worst time from a minute's end to its being sealed.
func (w *watch) finalAfter() (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := time.Duration(0)
	for end, seen := range w.sealed {
		worst = max(worst, seen.Sub(end))
	}
	if len(w.sealed) == 0 {
		return 0, errors.New("no minute became final")
	}
	return worst, nil
}
