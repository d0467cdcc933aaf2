package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// watching is a hub over a store in memory, in which all is sealed through the
// minute before last, at a made-up time.
type watching struct {
	*watchHub
	store *memoryStore
	now   time.Time // a whole minute
}

func newWatching(t *testing.T) watching {
	t.Helper()
	store := newMemoryStore()
	h := newWatchHub(store, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	t.Cleanup(h.close)
	return watching{h, store, time.Now().UTC().Truncate(time.Minute)}
}

// synced runs a test at a made-up time, with a hub.
func synced(t *testing.T, test func(*testing.T, watching)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.store.sealed = w.minute(-2)
		test(t, w)
	})
}

func (w watching) minute(n int) time.Time { return w.now.Add(time.Duration(n) * time.Minute) }

// asked is all minutes of the last quarter of an hour, of an advertiser's sum.
func (w watching) asked(advertiserID int64) watchAsk {
	return watchAsk{
		advertiserID: advertiserID, granularity: v1.Granularity_GRANULARITY_MINUTE, location: time.UTC,
		from: w.minute(-15), window: watchBackDefault,
	}
}

func (w watching) joins(t *testing.T, keyID int64, asked watchAsk) *watcher {
	t.Helper()
	one, err := w.join(keyID, asked)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// next is the next answer, or nil after five seconds without one.
func next(w *watcher) *v1.WatchClicksResponse {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case message := <-w.out:
		w.pending.Add(-int64(len(message.GetPoints())))
		return message
	case <-w.ended:
	case <-timer.C:
	}
	return nil
}

func wantPoints(t *testing.T, what string, got *v1.WatchClicksResponse, want ...string) {
	t.Helper()
	var points []string
	for _, p := range got.GetPoints() {
		points = append(points, fmt.Sprintf("%s %d %s", p.GetStartTime().AsTime().Format("15:04"), p.GetClicks(), strings.TrimPrefix(p.GetState().String(), "STATE_")))
	}
	if fmt.Sprint(points) != fmt.Sprint(want) {
		t.Errorf("%s: told %v, want %v", what, points, want)
	}
}

func wantEnded(t *testing.T, w *watcher, code connect.Code, sentence string) {
	t.Helper()
	select {
	case <-w.ended:
		if connect.CodeOf(w.reason) != code || !strings.Contains(w.reason.Error(), sentence) {
			t.Errorf("ended with %v", w.reason)
		}
	default:
		t.Errorf("was not ended with %q", sentence)
	}
}

func TestAWatcherIsToldAsFiguresGrowBecomeFinalAndAreRestated(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		asked := h.asked(7)
		asked.from = h.minute(-3)
		w := h.joins(t, 1, asked)
		name := func(n int) string { return h.minute(n).Format("15:04") }

		first := next(w)
		if !first.GetSnapshot() || !first.GetSealedThrough().AsTime().Equal(h.minute(-2)) {
			t.Errorf("began with %v", first)
		}
		wantPoints(t, "the snapshot", first, name(-3)+" 0 FINAL", name(-2)+" 0 PROVISIONAL", name(-1)+" 0 PROVISIONAL", name(0)+" 0 PROVISIONAL")

		h.store.change(func(m *memoryLive) { m.fresh = append(m.fresh, LiveFigure{7, 0, h.minute(-2), 3}) })
		wantPoints(t, "a click", next(w), name(-2)+" 3 PROVISIONAL")

		// Sealed, with one click more than was counted here a moment ago.
		h.store.change(func(m *memoryLive) {
			m.finals = append(m.finals, LiveFigure{7, 0, h.minute(-2), 4})
			m.ledger = append(m.ledger, LiveFigure{0, 0, h.minute(-2), 100})
		})
		h.store.seal(h.minute(-1))
		wantPoints(t, "the seal", next(w), name(-2)+" 4 FINAL")

		// A late click: announced, written, and only then sealed.
		h.store.change(func(m *memoryLive) { m.announcing = append(m.announcing, LiveFigure{7, 0, h.minute(-2), 200}) })
		if got := next(w); got != nil {
			t.Errorf("told %v of what was only announced", got)
		}
		h.store.change(func(m *memoryLive) {
			m.finals[0].Number = 5
			m.restated = append(m.restated, LiveFigure{7, 0, h.minute(-2), 0})
		})
		wantPoints(t, "the restatement", next(w), name(-2)+" 5 RESTATED")
		h.store.change(func(m *memoryLive) { m.ledger[0].Number = 200 })
		if got := next(w); got != nil {
			t.Errorf("told %v again", got)
		}
		if !h.leaves(w) {
			t.Error("the hub goes on polling for nobody")
		}
	})
}

// leaves reports whether nothing is asked of the store any more.
func (w watching) leaves(one *watcher) bool {
	w.leave(one)
	time.Sleep(time.Minute)
	before := w.store.questioned()
	time.Sleep(time.Minute)
	return w.store.questioned() == before
}

func (m *memoryStore) seal(through time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sealed = through
}

func (m *memoryLive) questioned() int {
	m.liveMu.Lock()
	defer m.liveMu.Unlock()
	return m.questions
}

func TestOnePollServesAllWatchers(t *testing.T) {
	questions := func(watchers int) (asked int) {
		synced(t, func(t *testing.T, h watching) {
			for i := range watchers {
				w := h.joins(t, int64(i), h.asked(int64(1+i%50)))
				go func() {
					for next(w) != nil {
					}
				}()
			}
			time.Sleep(time.Minute)
			asked = h.store.questioned()
		})
		return asked
	}
	if one, many := questions(1), questions(500); many > one+10 || one < 100 {
		t.Errorf("%d questions a minute for one watcher, %d for 500", one, many)
	}
}

// busyStore takes a second to count clicks.
type busyStore struct {
	*memoryStore
	counted int
}

func (s *busyStore) LiveFresh(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	s.counted++
	time.Sleep(time.Second)
	return s.memoryStore.LiveFresh(ctx, q)
}

func TestTheStoreRestsThoughSomebodyJoinsAllTheTime(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		store := &busyStore{memoryStore: h.store}
		h.watchHub.store = store
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
			h.leave(h.joins(t, 1, h.asked(7)))
			w := h.joins(t, 1, h.asked(7))
			time.Sleep(50 * time.Millisecond)
			h.leave(w)
		}
		h.close() // what was counted is the poll's
		if store.counted > 31 {
			t.Errorf("for %d of 60 seconds clicks were counted", store.counted)
		}
	})
}

func TestASlowWatcherIsEndedAndNobodyElse(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		slow, quick := h.joins(t, 1, h.asked(7)), h.joins(t, 1, h.asked(7))
		told := 0
		for i := range 2 * watchBatchesMax {
			h.store.change(func(m *memoryLive) { m.fresh = []LiveFigure{{7, 0, h.minute(-1), uint64(1 + i)}} })
			if next(quick) != nil {
				told++
			}
		}
		if told < watchBatchesMax {
			t.Errorf("the quick one was told %d times", told)
		}
		if len(slow.out) != watchBatchesMax {
			t.Errorf("%d answers wait for the slow one", len(slow.out))
		}
		wantEnded(t, slow, connect.CodeResourceExhausted, "read too slowly")
		select {
		case <-quick.ended:
			t.Errorf("the quick one was ended: %v", quick.reason)
		default:
		}
	})
}

func TestWhatWaitsForAWatcherIsBoundedByPointsToo(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		asked := h.asked(7)
		asked.byAd = true
		w := h.joins(t, 1, asked)
		for n := range 4 {
			h.store.change(func(m *memoryLive) {
				m.fresh = nil
				for ad := range int64(watchFiguresMax - 10) {
					m.fresh = append(m.fresh, LiveFigure{7, 1 + ad, h.minute(-1), uint64(1 + n)})
				}
			})
			time.Sleep(2 * time.Second)
		}
		if waiting := w.pending.Load(); waiting > 2*watchPendingMax {
			t.Errorf("%d points wait", waiting)
		}
		wantEnded(t, w, connect.CodeResourceExhausted, "read too slowly")
	})
}

func TestWatchersAreLimited(t *testing.T) {
	for _, limit := range []struct {
		name     string
		fill     func(*testing.T, watching)
		asked    func(watchAsk) watchAsk
		sentence string
	}{
		{"of a gateway", func(t *testing.T, h watching) {
			for i := range watchersMax {
				h.joins(t, int64(100+i/10), h.asked(7))
			}
		}, func(a watchAsk) watchAsk { return a }, "1,000 calls watch at this gateway"},
		{"of a key", func(t *testing.T, h watching) {
			for range watchersPerKeyMax {
				h.joins(t, 1, h.asked(7))
			}
		}, func(a watchAsk) watchAsk { return a }, "20 calls of this API key"},
		{"ads by name", func(t *testing.T, h watching) {
			asked := h.asked(7)
			asked.ads = make([]int64, watchAdsMax)
			h.joins(t, 2, asked)
		}, func(a watchAsk) watchAsk { a.ads = []int64{1}; return a }, "10,000 ads are watched by name"},
	} {
		t.Run(limit.name, func(t *testing.T) {
			synced(t, func(t *testing.T, h watching) {
				limit.fill(t, h)
				_, err := h.join(1, limit.asked(h.asked(7)))
				if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), limit.sentence) {
					t.Errorf("answered %v", err)
				}
				for _, w := range h.all() {
					h.leave(w)
				}
				if _, err := h.join(1, limit.asked(h.asked(7))); err != nil {
					t.Errorf("when all had left: %v", err)
				}
			})
		})
	}
}

func TestTooManyFiguresEndOnlyWhoeverWatchesThem(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		asked := h.asked(7)
		asked.byAd = true
		h.store.change(func(m *memoryLive) {
			for ad := range int64(watchFiguresMax + 1) {
				m.fresh = append(m.fresh, LiveFigure{7, 1 + ad, h.minute(-1), 1})
			}
			m.fresh = append(m.fresh, LiveFigure{7, 0, h.minute(-1), watchFiguresMax + 1})
		})
		all, sum := h.joins(t, 1, asked), h.joins(t, 1, h.asked(7))
		time.Sleep(time.Second)
		wantEnded(t, all, connect.CodeResourceExhausted, "can be watched (50,000)")
		if got := next(sum); !got.GetSnapshot() {
			t.Errorf("who watches the sum is told %v", got)
		}
	})
}

// slowAds is a store that takes too long for all ads of an advertiser.
type slowAds struct{ *memoryStore }

func (s slowAds) LiveFresh(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	if len(q.ByAd) > 0 {
		return nil, fmt.Errorf("count fresh clicks: %w", context.DeadlineExceeded)
	}
	return s.memoryStore.LiveFresh(ctx, q)
}

// LiveSealed would take as long once more.
func (s slowAds) LiveSealed(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	if len(q.ByAd) > 0 {
		return nil, errors.New("asked on, though it took too long already")
	}
	return s.memoryStore.LiveSealed(ctx, q)
}

func TestNobodyWaitsForWhoAsksTooMuch(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		h.watchHub.store = slowAds{h.store}
		asked := h.asked(7)
		asked.byAd = true
		all, sum := h.joins(t, 1, asked), h.joins(t, 1, h.asked(7))
		time.Sleep(time.Second)
		wantEnded(t, all, connect.CodeResourceExhausted, "name fewer ads")
		if got := next(sum); !got.GetSnapshot() {
			t.Errorf("who watches the sum is told %v", got)
		}
	})
}

// outage is a store that for a while takes too long for all ads of an advertiser,
// and then does not answer.
type outage struct {
	*memoryStore
	comes atomic.Bool // with the next look at the ledger
	lasts bool
}

func (s *outage) LiveSeals(ctx context.Context, from, to time.Time) ([]LiveFigure, error) {
	s.lasts = s.comes.Load()
	return s.memoryStore.LiveSeals(ctx, from, to)
}

func (s *outage) LiveFresh(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	if s.lasts && len(q.ByAd) > 0 {
		return nil, fmt.Errorf("count fresh clicks: %w", context.DeadlineExceeded)
	}
	return s.memoryStore.LiveFresh(ctx, q)
}

func (s *outage) LiveSealed(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	if s.lasts {
		return nil, fmt.Errorf("read sealed figures: %w", click.ErrUnavailable)
	}
	return s.memoryStore.LiveSealed(ctx, q)
}

func TestNothingIsCountedTwiceAfterAnOutage(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		store := &outage{memoryStore: h.store}
		h.watchHub.store = store
		h.store.change(func(m *memoryLive) {
			m.fresh = []LiveFigure{{7, 1, h.minute(-1), 3}}
			m.announcing = []LiveFigure{{7, 0, h.minute(-5), 200}} // so that sealed figures are read at each look
		})
		asked := h.asked(7)
		asked.byAd = true
		all, _ := h.joins(t, 1, asked), h.joins(t, 1, h.asked(7))
		wantPoints(t, "the snapshot", next(all), h.minute(-1).Format("15:04")+" 3 PROVISIONAL")
		store.comes.Store(true)
		time.Sleep(watchStaleMax / 2)
		store.comes.Store(false)
		h.store.change(func(m *memoryLive) { m.fresh[0].Number = 4 })
		wantPoints(t, "after the outage", next(all), h.minute(-1).Format("15:04")+" 4 PROVISIONAL")
	})
}

func TestWatchersAreToldWhenFiguresCannotBeRead(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		w := h.joins(t, 1, h.asked(7))
		next(w)
		h.store.change(func(m *memoryLive) { m.failing = click.ErrUnavailable })
		time.Sleep(watchStaleMax / 2)
		h.store.change(func(m *memoryLive) {
			m.failing, m.fresh = nil, []LiveFigure{{7, 0, h.minute(-1), 9}}
		})
		if got := next(w); len(got.GetPoints()) != 1 || got.GetPoints()[0].GetClicks() != 9 {
			t.Errorf("after a short outage: %v", got)
		}
		h.store.change(func(m *memoryLive) { m.failing = errors.New("away") })
		time.Sleep(2 * watchStaleMax)
		wantEnded(t, w, connect.CodeUnavailable, "cannot be read just now")
	})
}

// A call that is resumed while figures cannot be read must not forget where it began.
func TestASignOfLifeBeforeTheSnapshotHasAResumeToken(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		h.store.change(func(m *memoryLive) { m.failing = click.ErrUnavailable })
		asked := h.asked(7)
		asked.from, asked.window = h.minute(-90), 2*time.Hour
		w := h.joins(t, 1, asked)
		var told []*v1.WatchClicksResponse
		err := deliver(t.Context(), w, func(message *v1.WatchClicksResponse) error {
			told = append(told, message)
			return nil
		})
		wantCode(t, "it ends", err, connect.CodeUnavailable)
		if len(told) == 0 {
			t.Fatal("there was no sign of life")
		}
		again, err := readWatch(&v1.WatchClicksRequest{AdvertiserId: 7, ResumeToken: told[0].GetResumeToken()}, time.Now())
		if err != nil || !again.from.Equal(asked.from) || again.window != asked.window {
			t.Errorf("resumes from %v with a window of %v, %v", again.from, again.window, err)
		}
	})
}

func TestAStoppingGatewayTellsItsWatchers(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		w := h.joins(t, 1, h.asked(7))
		next(w)
		h.close()
		wantEnded(t, w, connect.CodeUnavailable, "this gateway stops")
		if _, err := h.join(1, h.asked(7)); connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("who comes then is answered %v", err)
		}
	})
}

// A point leaves the window behind it; what a resumed call begins with reaches
// back as far as the one before.
func TestTheWindowMovesAndIsResumed(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		w := h.joins(t, 1, h.asked(7))
		go func() {
			time.Sleep(40 * time.Minute)
			h.leave(w)
		}()
		var last *v1.WatchClicksResponse
		for got := next(w); ; got = next(w) {
			if got != nil {
				last = got
			}
			if isClosed(w.ended) {
				break
			}
		}
		token := last.GetResumeToken()
		time.Sleep(30 * time.Minute) // all that was watched is behind the window by now
		now := time.Now()
		asked, err := readWatch(&v1.WatchClicksRequest{AdvertiserId: 7, ResumeToken: token}, now)
		if err != nil {
			t.Fatal(err)
		}
		if asked.window != watchBackDefault || asked.from.After(h.minute(40-14)) || asked.from.Before(h.minute(40-16)) {
			t.Errorf("resumes from %v, %v behind, with a window of %v", asked.from, now.Sub(asked.from), asked.window)
		}
		again := h.joins(t, 1, asked)
		if got := next(again); len(got.GetPoints()) < 45 || !got.GetPoints()[0].GetStartTime().AsTime().Equal(asked.from) {
			t.Errorf("resumed with %d points", len(got.GetPoints()))
		}
		time.Sleep(time.Second)
		h.close() // the points are the poll's
		if len(again.points.points) > 17 {
			t.Errorf("%d points are kept", len(again.points.points))
		}
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhatTheNewestWatchesLeavesTheOthersTheirRoom(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		h.entriesMax = 300
		for i := range int64(4 * 90) {
			h.store.fresh = append(h.store.fresh, LiveFigure{1 + i/90, 1 + i, h.minute(-1), 1})
		}
		var all []*watcher
		for i := range int64(4) { // each has 90 figures read, and 90 more of its own
			asked := h.asked(1 + i)
			asked.byAd = true
			all = append(all, h.joins(t, i, asked))
		}
		time.Sleep(time.Second)
		for i, w := range all {
			if i > 0 {
				wantEnded(t, w, connect.CodeResourceExhausted, "as many figures for watchers as it may")
			} else if isClosed(w.ended) {
				t.Errorf("the first was ended: %v", w.reason)
			}
		}
	})
}

func TestWhatThereIsNoRoomForIsTheNewest(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		var all []*watcher
		h.entriesMax = 300
		for ad := range int64(90) {
			h.store.fresh = append(h.store.fresh, LiveFigure{7, 1 + ad, h.minute(-1), 1})
		}
		asked := h.asked(7)
		asked.byAd = true
		for i := range int64(4) { // 90 figures, and 90 more for each of them
			w := h.joins(t, 1+i, asked)
			all = append(all, w)
			go func() {
				for next(w) != nil {
				}
			}()
			time.Sleep(time.Second)
		}
		wantEnded(t, all[len(all)-1], connect.CodeResourceExhausted, "as many figures for watchers as it may")
		if isClosed(all[0].ended) {
			t.Errorf("the first was ended: %v", all[0].reason)
		}
	})
}
