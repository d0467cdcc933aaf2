package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	watchBackMax     = 48 * time.Hour
	watchBackDefault = 15 * time.Minute
	// watchSignOfLife is how long a stream is silent at most: proxies close
	// connections on which nothing moves.
	watchSignOfLife = 10 * time.Second
	// watchKeyInterval is how often it is looked whether the key is still good.
	watchKeyInterval = time.Second
	// watchSendTimeout is how long one answer may take on its way.
	watchSendTimeout = 10 * time.Second
)

// watchAsk is what somebody wants to watch, and may.
type watchAsk struct {
	advertiserID int64
	ads          []int64
	byAd         bool
	granularity  v1.Granularity
	location     *time.Location
	from         time.Time // the first point's start
	window       time.Duration
}

// feeds are what has to be read for it.
func (a watchAsk) feeds() []feedKey {
	switch {
	case len(a.ads) == 0 && a.byAd:
		return []feedKey{{a.advertiserID, eachAd}}
	case len(a.ads) == 0:
		return []feedKey{{a.advertiserID, 0}}
	default:
		keys := make([]feedKey, len(a.ads))
		for i, id := range a.ads {
			keys[i] = feedKey{a.advertiserID, id}
		}
		return keys
	}
}

// WatchClicks tells the recent points, and then those that change, until the
// client leaves or something ends it: then it says what.
func (s *reportService) WatchClicks(ctx context.Context, in *v1.WatchClicksRequest, stream *connect.ServerStream[v1.WatchClicksResponse]) error {
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return err
	}
	asked, err := readWatch(in, s.now())
	if err != nil {
		return err
	}
	if err := s.requireOwn(ctx, in.GetAdvertiserId(), in.GetAdIds()); err != nil {
		return err
	}
	line, err := lineOf(ctx)
	if err != nil {
		return err
	}
	// The request was read, and nothing may have to be written for a long time.
	if err := errors.Join(line.SetReadDeadline(time.Time{}), line.SetWriteDeadline(time.Time{})); err != nil {
		return fmt.Errorf("watch without the server's deadlines: %w", err)
	}
	w, err := s.watches.join(principalOf(ctx).KeyID, asked)
	if err != nil {
		return err
	}
	defer s.watches.leave(w)
	timeout := s.watches.sendTimeout
	defer func() { _ = line.SetWriteDeadline(time.Now().Add(timeout)) }() // for the last word
	return deliver(ctx, w, func(message *v1.WatchClicksResponse) error {
		if err := line.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if err := stream.Send(message); err != nil {
			return err
		}
		return line.SetWriteDeadline(time.Time{}) // on HTTP/2 it cuts a silent stream too
	})
}

// deliver sends what the hub has for a watcher, and signs of life.
func deliver(ctx context.Context, w *watcher, send func(*v1.WatchClicksResponse) error) error {
	ticker := time.NewTicker(watchKeyInterval)
	defer ticker.Stop()
	last, sent := &v1.WatchClicksResponse{ResumeToken: w.token}, time.Now()
	for {
		var message *v1.WatchClicksResponse
		select {
		case <-ctx.Done():
			return watchEnded(ctx)
		case <-w.ended:
			return w.reason
		case message = <-w.out:
			w.pending.Add(-int64(len(message.GetPoints())))
			last = &v1.WatchClicksResponse{SealedThrough: message.GetSealedThrough(), ResumeToken: message.GetResumeToken()}
		case <-ticker.C:
			if err := callAgain(ctx); err != nil {
				return err
			}
			if time.Since(sent) < watchSignOfLife {
				continue
			}
			message = last
		}
		if err := send(message); err != nil {
			if ctx.Err() != nil {
				return watchEnded(ctx)
			}
			return watchSlow() // the line did not take it in time
		}
		sent = time.Now()
	}
}

func watchEnded(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the time you gave this call is over"))
	}
	return ctx.Err()
}

// readWatch checks what is asked for.
func readWatch(in *v1.WatchClicksRequest, now time.Time) (watchAsk, error) {
	asked := watchAsk{advertiserID: in.GetAdvertiserId(), ads: in.GetAdIds(), byAd: in.GetGroupByAd(), granularity: in.GetGranularity()}
	var err error
	if asked.location, err = location(in.GetTimeZone()); err != nil {
		return watchAsk{}, err
	}
	length := time.Minute
	switch asked.granularity {
	case v1.Granularity_GRANULARITY_UNSPECIFIED, v1.Granularity_GRANULARITY_MINUTE:
		asked.granularity = v1.Granularity_GRANULARITY_MINUTE
	case v1.Granularity_GRANULARITY_HOUR:
		length = time.Hour
	case v1.Granularity_GRANULARITY_DAY:
		length = 25 * time.Hour
	default:
		return watchAsk{}, invalid("granularity must be MINUTE, HOUR or DAY: ask QueryClicks for longer points")
	}
	if err := asked.readStart(in, now); err != nil {
		return watchAsk{}, err
	}
	if figures := len(asked.ads) * int((asked.window+length)/time.Minute); figures > watchFiguresMax {
		return watchAsk{}, invalidf("%s figures of single ads and minutes would have to be watched, at most %s: let start_time be later, or name fewer ads",
			thousands(figures), thousands(watchFiguresMax))
	}
	return asked, nil
}

func (a *watchAsk) readStart(in *v1.WatchClicksRequest, now time.Time) error {
	switch {
	case in.StartTime != nil && in.GetResumeToken() != "":
		return invalid("start_time and resume_token exclude each other")
	case in.GetResumeToken() != "":
		return a.resume(in.GetResumeToken(), now)
	case in.StartTime == nil:
		a.window, a.from = watchBackDefault, pointOf(now.Add(-watchBackDefault), a.granularity, a.location)
		return nil
	}
	a.from = in.GetStartTime().AsTime()
	a.window = max(now.Sub(a.from), watchBackDefault)
	switch {
	case !a.from.Equal(a.from.Truncate(time.Minute)):
		return invalid("start_time must be a whole minute")
	case a.from.After(now):
		return invalid("start_time is ahead")
	case a.from.Before(now.Add(-watchBackMax)):
		return invalid("start_time is more than 48 hours ago: ask QueryClicks for what is older")
	}
	return nil
}

// pointOf is where the point begins that an instant lies in.
func pointOf(at time.Time, g v1.Granularity, loc *time.Location) time.Time {
	start := at.Truncate(time.Minute)
	if g == v1.Granularity_GRANULARITY_MINUTE {
		return start
	}
	// Points of days and hours begin wherever they begin seen from a day before.
	starts := pointStarts(start.Add(-26*time.Hour), start.Add(time.Minute), g, loc)
	return starts[len(starts)-1]
}

// A resume token is the first minute that was watched, and the minutes of the window.

func (p *watchPoints) token() string {
	return strconv.FormatInt(p.points[0].start.Unix()/60, 36) + "-" + strconv.FormatInt(int64(p.window/time.Minute), 36)
}

func (a *watchAsk) resume(token string, now time.Time) error {
	first, window, _ := strings.Cut(token, "-")
	minute, err := strconv.ParseInt(first, 36, 64)
	minutes, errWindow := strconv.ParseInt(window, 36, 64)
	a.from, a.window = time.Unix(minute*60, 0).UTC(), time.Duration(minutes)*time.Minute
	switch {
	case err != nil || errWindow != nil || a.from.After(now) || minutes <= 0 || minutes > int64(watchBackMax/time.Minute):
		return invalid("resume_token is not one that was given out here")
	case a.from.Before(now.Add(-2 * watchBackMax)):
		return connect.NewError(connect.CodeOutOfRange, errors.New("resume_token is too old: call with start_time, and ask QueryClicks for what lies before"))
	}
	return nil
}

// watchMetrics tell of watching.
type watchMetrics struct {
	ended *prometheus.CounterVec
	poll  prometheus.Histogram
}

func newWatchMetrics(registry prometheus.Registerer, watchers func() float64) *watchMetrics {
	m := &watchMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clickledger_gateway_watches_ended_total",
			Help: "Calls of WatchClicks that ended, by reason; left: the client did.",
		}, []string{"reason"}),
		poll: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "clickledger_gateway_watch_poll_seconds",
			Help:    "Time of reading once for all who watch.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10},
		}),
	}
	registry.MustRegister(m.ended, m.poll, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clickledger_gateway_watchers",
		Help: "Calls of WatchClicks that last.",
	}, watchers))
	return m
}
