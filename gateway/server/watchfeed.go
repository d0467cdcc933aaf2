package server

import (
	"time"

	"clickledger/internal/click"
)

// eachAd stands for every ad of an advertiser in a feedKey.
const eachAd = -1

// feedKey names what is read for watchers: the sum of an advertiser's ads (AdID
// 0), one of them, or each.
type feedKey struct{ advertiserID, adID int64 }

// feed is the recent minutes of one feedKey as they were last read, shared by
// all who watch it. Only the poll uses it.
type feed struct {
	key      feedKey
	from     click.Window // the first minute that somebody watches
	begun    bool         // it was read
	covered  click.Window // then from here on
	minutes  map[click.Window]map[int64]minuteFigure
	figures  int // in minutes
	changes  []minuteChange
	overflow bool // it has more figures than one may have
}

// minuteFigure is the figure of one series in one minute.
type minuteFigure struct {
	clicks   uint64
	restated bool
}

// minuteChange is how a figure changed.
type minuteChange struct {
	minute   click.Window
	adID     int64
	clicks   int64
	restated int // 1, 0, -1
}

func newFeed(key feedKey, from click.Window) *feed {
	return &feed{key: key, from: from, minutes: map[click.Window]map[int64]minuteFigure{}}
}

// forget drops what nobody watches any more.
func (f *feed) forget() {
	for w := f.covered; f.begun && w.Before(f.from); w = w.Next() {
		f.figures -= len(f.minutes[w])
		delete(f.minutes, w)
		f.covered = w.Next()
	}
}

// unread is the minutes before sealed that somebody watches and nobody has read.
func (f *feed) unread(sealed click.Window) (from, to click.Window) {
	to = sealed
	if f.begun && f.covered.Before(to) {
		to = f.covered
	}
	return f.from, to
}

// replace puts what was read of a minute in the place of what was known, and
// notes what changed.
func (f *feed) replace(w click.Window, now map[int64]minuteFigure) {
	was := f.minutes[w]
	for adID, old := range was {
		f.note(w, adID, old, now[adID])
	}
	for adID, new := range now {
		if _, known := was[adID]; !known {
			f.note(w, adID, minuteFigure{}, new)
		}
	}
	f.figures += len(now) - len(was)
	if len(now) == 0 {
		delete(f.minutes, w)
	} else {
		f.minutes[w] = now
	}
}

func (f *feed) note(w click.Window, adID int64, old, new minuteFigure) {
	if old != new {
		f.changes = append(f.changes, minuteChange{w, adID, int64(new.clicks) - int64(old.clicks), ones(new.restated) - ones(old.restated)})
	}
}

func ones(b bool) int {
	if b {
		return 1
	}
	return 0
}

// LiveQuery asks for minutes of many series at once.
type LiveQuery struct {
	Sums       []int64    // of these advertisers, the sum of all ads
	ByAd       []int64    // of these, each ad
	Ads        [][2]int64 // these ads: advertiser, ad
	From, To   time.Time  // whole minutes, half-open
	Minutes    []time.Time
	FiguresMax int // of the ads of one advertiser; one more may come
}

// LiveFigure is a number of one minute of one series; AdID is 0 for a sum.
type LiveFigure struct {
	AdvertiserID, AdID int64
	Minute             time.Time
	Number             uint64
}

// ask makes a question of feeds, without its range.
func ask(feeds []*feed) LiveQuery {
	q := LiveQuery{FiguresMax: watchFiguresMax}
	for _, f := range feeds {
		switch f.key.adID {
		case 0:
			q.Sums = append(q.Sums, f.key.advertiserID)
		case eachAd:
			q.ByAd = append(q.ByAd, f.key.advertiserID)
		default:
			q.Ads = append(q.Ads, [2]int64{f.key.advertiserID, f.key.adID})
		}
	}
	return q
}

// minutesRead is what was read, by feed and minute.
type minutesRead map[feedKey]map[click.Window]map[int64]minuteFigure

// sort lays figures out by the feeds that they are of. A feed of ads whose
// advertiser has more than it may have overflows.
func (r minutesRead) sort(figures []LiveFigure, feeds []*feed, lay func(*minuteFigure, uint64)) {
	asked := map[feedKey]bool{}
	for _, f := range feeds {
		asked[f.key] = true
	}
	ads := map[int64]int{} // figures by advertiser
	for _, one := range figures {
		keys := []feedKey{{one.AdvertiserID, one.AdID}, {one.AdvertiserID, eachAd}}
		if one.AdID == 0 {
			keys = keys[:1]
		} else {
			ads[one.AdvertiserID]++
		}
		for _, key := range keys {
			if !asked[key] {
				continue
			}
			minutes := r[key]
			if minutes == nil {
				minutes = map[click.Window]map[int64]minuteFigure{}
				r[key] = minutes
			}
			w := click.WindowOf(one.Minute)
			if minutes[w] == nil {
				minutes[w] = map[int64]minuteFigure{}
			}
			figure := minutes[w][one.AdID]
			lay(&figure, one.Number)
			minutes[w][one.AdID] = figure
		}
	}
	for _, f := range feeds {
		f.overflow = f.overflow || f.key.adID != 0 && ads[f.key.advertiserID] > watchFiguresMax
	}
}
