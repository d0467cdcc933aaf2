package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clickledger/internal/click"
)

// poll reads once for all watchers and hands out what changed. If it fails,
// nothing is handed out: the next one tells it.
//
// How far minutes are sealed is read first and used throughout, as by a report:
// what lies before is read as sealed, the rest is counted, so that every minute
// is told of exactly once.
func (h *watchHub) poll(ctx context.Context, watchers []*watcher, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, watchPollTimeout)
	defer cancel()
	unread := h.cover(watchers, now)
	if len(h.feeds) == 0 {
		return nil
	}
	through, seals, reads := h.through, h.seals, []minutesToRead(nil)
	look := unread || now.Sub(h.looked) >= watchLedgerInterval
	if look {
		var err error
		if through, err = h.store.SealedThrough(ctx); err != nil {
			return err
		}
		if seals, reads, err = h.readable(ctx, click.WindowOf(through)); err != nil {
			return err
		}
	}
	read := minutesRead{}
	to := click.WindowOf(now).End()
	if err := h.readFresh(ctx, read, through, to); err != nil {
		return err
	}
	if err := h.readSealed(ctx, read, reads); err != nil {
		return err
	}
	// From here on nothing fails.
	before := h.through
	h.through, h.seals = through, seals
	if look {
		h.looked = now
	}
	h.apply(read, reads, click.WindowOf(to))
	h.serve(watchers, before)
	// Of these not all was read. Whoever watched them was ended.
	maps.DeleteFunc(h.feeds, func(_ feedKey, f *feed) bool { return f.overflow })
	return nil
}

// cover makes the feeds those that are watched now, as far back as somebody
// watches, and reports whether one reaches further back than was read.
func (h *watchHub) cover(watchers []*watcher, now time.Time) (unread bool) {
	feeds := map[feedKey]*feed{}
	for _, w := range watchers {
		w.points.advance(now, w.begun)
		from := w.points.from()
		for _, key := range w.feeds {
			f, used := feeds[key]
			switch {
			case used && !from.Before(f.from):
			case used:
				f.from = from
			case h.feeds[key] != nil:
				f = h.feeds[key] // as it was last told of, whatever became of the poll before
				f.from, f.overflow = from, false
			default:
				f = newFeed(key, from)
			}
			feeds[key] = f
		}
	}
	h.feeds = feeds
	for _, f := range feeds {
		f.forget()
		f.changes = f.changes[:0]
		unread = unread || !f.begun || f.from.Before(f.covered)
	}
	return unread
}

// minutesToRead is sealed minutes that feeds have to be read of.
type minutesToRead struct {
	minutes []click.Window
	feeds   []*feed
}

// readable finds out which sealed minutes may have other figures than those
// that were read, by what planRead of the store relies on: a figure of a sealed
// minute changes only after that was announced, and its seal comes after it. So
// a minute is read again when its seal is another one, and for as long as
// something is announced that its seal does not have yet. The seals
// are read before the figures: at worst figures are newer than them, and are read
// once more.
func (h *watchHub) readable(ctx context.Context, sealed click.Window) (map[click.Window]uint64, []minutesToRead, error) {
	first := sealed
	for _, f := range h.feeds {
		if f.from.Before(first) {
			first = f.from
		}
	}
	seals := map[click.Window]uint64{}
	if !first.Before(sealed) {
		return seals, nil, nil
	}
	told, err := h.store.LiveSeals(ctx, first.Start(), sealed.Start())
	if err != nil {
		return nil, nil, err
	}
	var changed []click.Window
	for _, seal := range told {
		w := click.WindowOf(seal.Minute)
		seals[w] = seal.Number
		if h.seals[w] != seal.Number {
			changed = append(changed, w)
		}
	}
	announced, err := h.store.LiveAnnounced(ctx, advertisersOf(h.feeds), first.Start(), sealed.Start())
	if err != nil {
		return nil, nil, err
	}
	open := map[int64][]click.Window{} // by advertiser; 0: of all
	for _, a := range announced {
		if w := click.WindowOf(a.Minute); a.Number > seals[w] {
			open[a.AdvertiserID] = append(open[a.AdvertiserID], w)
		}
	}
	changed = append(changed, open[0]...)
	return seals, h.group(sealed, changed, open), nil
}

// group puts feeds together that are to be read of the same minutes.
func (h *watchHub) group(sealed click.Window, changed []click.Window, open map[int64][]click.Window) []minutesToRead {
	groups := map[string]*minutesToRead{}
	for _, f := range h.feeds {
		minutes := slices.Concat(changed, open[f.key.advertiserID])
		for w, to := f.unread(sealed); w.Before(to); w = w.Next() {
			minutes = append(minutes, w)
		}
		minutes = slices.DeleteFunc(minutes, func(w click.Window) bool { return w.Before(f.from) })
		if len(minutes) == 0 {
			continue
		}
		slices.SortFunc(minutes, compareWindows)
		minutes = slices.Compact(minutes)
		var name strings.Builder
		for _, w := range minutes {
			fmt.Fprintf(&name, "%d,", w.Start().Unix())
		}
		group := groups[name.String()]
		if group == nil {
			group = &minutesToRead{minutes: minutes}
			groups[name.String()] = group
		}
		group.feeds = append(group.feeds, f)
	}
	var out []minutesToRead
	for _, g := range groups {
		out = append(out, *g)
	}
	return out
}

func compareWindows(a, b click.Window) int { return a.Start().Compare(b.Start()) }

// readFresh counts the clicks that are not sealed.
func (h *watchHub) readFresh(ctx context.Context, read minutesRead, through, to time.Time) error {
	for _, feeds := range apart(slices.Collect(maps.Values(h.feeds))) {
		q := ask(feeds)
		q.From, q.To = to, to
		for _, f := range feeds {
			if f.from.Start().Before(q.From) {
				q.From = f.from.Start()
			}
		}
		if q.From.Before(through) {
			q.From = through
		}
		if !q.From.Before(q.To) {
			continue
		}
		figures, err := h.store.LiveFresh(ctx, q)
		if err := tooMuch(ctx, feeds, err); err != nil {
			return err
		}
		read.sort(figures, feeds, func(f *minuteFigure, n uint64) { f.clicks += n })
	}
	return nil
}

// readSealed reads figures, and then what was corrected: a correction is
// written before the figure it corrects.
func (h *watchHub) readSealed(ctx context.Context, read minutesRead, reads []minutesToRead) error {
	for _, r := range reads {
		for _, feeds := range apart(r.feeds) {
			q := ask(feeds)
			for _, w := range r.minutes {
				q.Minutes = append(q.Minutes, w.Start())
			}
			q.From, q.To = q.Minutes[0], r.minutes[len(r.minutes)-1].End()
			figures, err := h.store.LiveSealed(ctx, q)
			if err := tooMuch(ctx, feeds, err); err != nil {
				return err
			}
			read.sort(figures, feeds, func(f *minuteFigure, n uint64) { f.clicks += n })
			figures, err = h.store.LiveRestated(ctx, q)
			if err := tooMuch(ctx, feeds, err); err != nil {
				return err
			}
			read.sort(figures, feeds, func(f *minuteFigure, _ uint64) { f.restated = true })
		}
	}
	return nil
}

// apart separates the feeds of all ads of an advertiser, which may take long,
// from the others. Those that overflow already need not be read on.
func apart(feeds []*feed) [][]*feed {
	var others, eachAds []*feed
	for _, f := range feeds {
		switch {
		case f.overflow:
		case f.key.adID == eachAd:
			eachAds = append(eachAds, f)
		default:
			others = append(others, f)
		}
	}
	return slices.DeleteFunc([][]*feed{others, eachAds}, func(feeds []*feed) bool { return len(feeds) == 0 })
}

// tooMuch makes a question that took too long, or too much memory, the end of
// those feeds only, if they are of all ads: nobody else is to wait for them.
func tooMuch(ctx context.Context, feeds []*feed, err error) error {
	large := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, click.ErrTooMuchMemory)
	if !large || ctx.Err() != nil || feeds[0].key.adID != eachAd {
		return err
	}
	for _, f := range feeds {
		f.overflow = true
	}
	return nil
}

// apply puts what was read into the feeds: of the sealed minutes that were
// asked for, and of all that are not sealed.
func (h *watchHub) apply(read minutesRead, reads []minutesToRead, to click.Window) {
	for _, r := range reads {
		for _, f := range r.feeds {
			for _, w := range r.minutes {
				f.replace(w, read[f.key][w])
			}
		}
	}
	for _, f := range h.feeds {
		w := click.WindowOf(h.through)
		if w.Before(f.from) {
			w = f.from
		}
		for ; w.Before(to); w = w.Next() {
			f.replace(w, read[f.key][w])
		}
		f.begun, f.covered = true, f.from
	}
}

// serve hands each watcher its changes; the first time, all there is. When there
// is more than may be kept, whoever came last is ended.
func (h *watchHub) serve(watchers []*watcher, before time.Time) {
	kept, counted := 0, map[*feed]bool{}
	for _, w := range watchers {
		if h.lay(w) {
			h.end(w, "too_much", watchTooMuch())
			continue
		}
		moved := !before.Equal(h.through)
		if moved {
			w.points.sealed(before, h.through)
		}
		own := w.points.series
		for _, key := range w.feeds {
			if f := h.feeds[key]; !counted[f] {
				own += f.figures
			}
		}
		if kept+own > h.entriesMax {
			h.end(w, "full", watchFull())
			continue
		}
		kept += own
		for _, key := range w.feeds {
			counted[h.feeds[key]] = true
		}
		h.give(w, moved)
	}
}

// lay lays what changed over the points of a watcher, and reports whether there
// is more than may be watched.
func (h *watchHub) lay(w *watcher) (overflow bool) {
	for _, key := range w.feeds {
		f := h.feeds[key]
		overflow = overflow || f.overflow
		if !w.begun {
			w.points.addAll(f)
			continue
		}
		for _, c := range f.changes {
			w.points.add(c)
		}
	}
	return overflow
}
