package server

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// watchPoints is what one watcher is told of: the points of its last window,
// and of each series what was told last. Only the poll uses it.
type watchPoints struct {
	granularity v1.Granularity
	location    *time.Location
	window      time.Duration // a point is told of until it ended so long ago
	byAd        bool
	ads         []int64 // asked for; none: all
	points      []*watchPoint
	series      int // in points
	touched     []touch
}

type watchPoint struct {
	start, end time.Time // half-open
	series     map[int64]*watchSeries
}

// watchSeries is the figure of one series in one point.
type watchSeries struct {
	clicks     int64
	restated   int // minutes
	told       bool
	clicksTold int64
	stateTold  v1.State
}

// touch is a figure that may have to be told.
type touch struct {
	point *watchPoint
	adID  int64
}

func newWatchPoints(asked watchAsk) *watchPoints {
	p := &watchPoints{
		granularity: asked.granularity, location: asked.location, window: asked.window,
		byAd: asked.byAd, ads: slices.Sorted(slices.Values(asked.ads)),
	}
	p.begin(asked.from)
	return p
}

// from is the first minute that is watched.
func (p *watchPoints) from() click.Window { return click.WindowOf(p.points[0].start) }

// begin adds a point. The series that are always told of are told of it.
func (p *watchPoints) begin(start time.Time) {
	point := &watchPoint{start: start, end: nextPoint(start, p.granularity, p.location), series: map[int64]*watchSeries{}}
	p.points = append(p.points, point)
	for _, adID := range p.always() {
		p.touch(point, adID)
	}
}

func (p *watchPoints) always() []int64 {
	if p.byAd {
		return p.ads
	}
	return []int64{0}
}

// advance adds the points that began until now. Those that ended before the
// window are dropped once they were told of: a call that is resumed begins with
// what the one before it would have told.
func (p *watchPoints) advance(now time.Time, told bool) {
	for last := p.points[len(p.points)-1]; !last.end.After(now); last = p.points[len(p.points)-1] {
		p.begin(last.end)
	}
	if !told {
		return
	}
	old := 0
	for ; old+1 < len(p.points) && !p.points[old].end.After(now.Add(-p.window)); old++ {
		p.series -= len(p.points[old].series)
	}
	p.points = slices.Delete(p.points, 0, old)
}

// add lays a change of a minute over the point it lies in, if that is watched.
func (p *watchPoints) add(c minuteChange) {
	at := c.minute.Start()
	i := sort.Search(len(p.points), func(i int) bool { return p.points[i].end.After(at) })
	if i == len(p.points) || at.Before(p.points[i].start) {
		return
	}
	adID := c.adID
	if !p.byAd {
		adID = 0
	}
	s := p.touch(p.points[i], adID)
	s.clicks += c.clicks
	s.restated += c.restated
}

// addAll lays a whole feed over the points.
func (p *watchPoints) addAll(f *feed) {
	for w, ads := range f.minutes {
		for adID, figure := range ads {
			p.add(minuteChange{w, adID, int64(figure.clicks), ones(figure.restated)})
		}
	}
}

func (p *watchPoints) touch(point *watchPoint, adID int64) *watchSeries {
	s, known := point.series[adID]
	if !known {
		s = &watchSeries{}
		point.series[adID] = s
		p.series++
	}
	p.touched = append(p.touched, touch{point, adID})
	return s
}

// sealed takes note that minutes are sealed through now instead of before:
// points that end between the two are of another state.
func (p *watchPoints) sealed(before, now time.Time) {
	if now.Before(before) {
		before, now = now, before
	}
	for i := len(p.points) - 1; i >= 0 && p.points[i].end.After(before); i-- {
		if !p.points[i].end.After(now) {
			for adID := range p.points[i].series {
				p.touched = append(p.touched, touch{p.points[i], adID})
			}
		}
	}
}

// changed are the points that are other than what was told of them: by ad, then
// by time. They count as told.
func (p *watchPoints) changed(sealed time.Time) []*v1.Point {
	slices.SortFunc(p.touched, func(a, b touch) int {
		return cmp.Or(cmp.Compare(a.adID, b.adID), a.point.start.Compare(b.point.start))
	})
	var out []*v1.Point
	for _, t := range p.touched {
		s, state := t.point.series[t.adID], click.Final
		switch {
		case t.point.end.After(sealed):
			state = click.Provisional
		case s.restated > 0:
			state = click.Restated
		}
		stated := stateToProto(state)
		if s.told && s.clicks == s.clicksTold && stated == s.stateTold || !s.told && s.clicks == 0 && s.restated == 0 && !p.tellsZeros() {
			continue
		}
		s.told, s.clicksTold, s.stateTold = true, s.clicks, stated
		point := &v1.Point{StartTime: timeToProto(t.point.start), Clicks: s.clicks, State: stated}
		if p.byAd {
			point.AdId = &t.adID
		}
		out = append(out, point)
	}
	p.touched = p.touched[:0]
	return out
}

// tellsZeros: of ads that nobody named, nothing is told before they have clicks.
func (p *watchPoints) tellsZeros() bool { return len(p.always()) > 0 }
