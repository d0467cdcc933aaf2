package server

import (
	"context"
	"errors"
	"time"

	"clickledger/internal/click"
)

// pollThere polls, and if the store cannot be asked for all who watch, ends those
// whose advertisers' shard is away and polls for the others: they are not to wait
// for it. Where all are away nobody is ended yet; it may be back in a moment.
func (h *watchHub) pollThere(ctx context.Context, now time.Time) error {
	watchers := h.all()
	err := h.poll(ctx, watchers, now)
	if !errors.Is(err, click.ErrUnavailable) {
		return err
	}
	there, away := h.askEach(ctx, watchers, now)
	if len(there) == 0 || len(away) == 0 {
		return err
	}
	for _, w := range away {
		h.end(w, "away", watchStale())
	}
	return h.poll(ctx, there, now)
}

// askEach asks the store for one minute of each advertiser by itself, which its
// own shard answers, and sorts the watchers by whether it could be asked.
func (h *watchHub) askEach(ctx context.Context, watchers []*watcher, now time.Time) (there, away []*watcher) {
	ctx, cancel := context.WithTimeout(ctx, watchPollTimeout)
	defer cancel()
	w := click.WindowOf(now)
	known := map[int64]error{}
	for _, each := range watchers {
		id := each.asked.advertiserID
		err, asked := known[id]
		if !asked {
			_, err = h.store.LiveFresh(ctx, LiveQuery{Sums: []int64{id}, From: w.Start(), To: w.End()})
			known[id] = err
		}
		if err == nil {
			there = append(there, each)
		} else {
			away = append(away, each)
		}
	}
	return there, away
}
