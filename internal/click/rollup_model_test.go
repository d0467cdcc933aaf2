package click

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The protocol of rollups, without a store: flushes, rollups and reads of one
// series whose steps come in any order, with attempts that overlap, die
// anywhere and are repeated. It fails if any read gives what the minutes never
// said while it lasted.

// value is a row of a ReplacingMergeTree: the higher version stays.
type value struct{ version, clicks uint64 }

type modelTable map[time.Time]value

func (m modelTable) put(at time.Time, v value) {
	if old, ok := m[at]; !ok || v.version >= old.version {
		m[at] = v
	}
}

// model is the store, the ledgers and a clock.
type model struct {
	rt        *rapid.T
	clock     uint64
	start     time.Time
	hot       []time.Time // minutes that have clicks
	clicks    map[time.Time]uint64
	tables    map[Level]modelTable
	seals     map[time.Time]uint64
	announced map[time.Time]uint64
	entries   map[Level]map[Day]Rolled
	seen      map[Day]map[time.Time]uint64 // by the entry of the day's hours
	// remembered are the sums of settled pieces that were read before, by all that
	// they follow from.
	remembered map[string][]uint64
	asked      []question
	first      Day
	days       int
}

func newModel(rt *rapid.T) *model {
	m := &model{
		rt: rt, clicks: map[time.Time]uint64{}, tables: map[Level]modelTable{}, seals: map[time.Time]uint64{},
		announced: map[time.Time]uint64{}, entries: map[Level]map[Day]Rolled{}, seen: map[Day]map[time.Time]uint64{}, remembered: map[string][]uint64{},
		first: DayOf(time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)), days: 16,
	}
	for _, level := range []Level{PerMinute, PerHour, PerDay, PerWeek, PerMonth} {
		m.tables[level], m.entries[level] = modelTable{}, map[Day]Rolled{}
	}
	m.start = m.first.Add(rapid.IntRange(0, 5).Draw(rt, "start")).Start().Add(10 * time.Hour)
	for range 8 {
		at := m.first.Start().Add(time.Duration(rapid.IntRange(0, m.days*24*60-1).Draw(rt, "minute")) * time.Minute)
		m.hot = append(m.hot, at)
		if at.Before(m.start) {
			continue // nothing came in before the ledger began; later something may
		}
		m.clicks[at] = 1
		m.tables[PerMinute].put(at, value{m.now(), 1})
		m.seals[at] = m.now()
	}
	return m
}

func (m *model) now() uint64 { m.clock++; return m.clock }

// flush is one more click in a minute and its flush, in steps. What is brought
// back from before the ledger's start is not announced.
func (m *model) flush() []func() {
	at := rapid.SampledFrom(m.hot).Draw(m.rt, "flushed")
	silent := at.Before(m.start) && rapid.Bool().Draw(m.rt, "silent")
	var version, clicks uint64
	return []func(){
		func() { m.clicks[at]++; version, clicks = m.now(), m.clicks[at] },
		func() {
			if !silent {
				m.announced[at] = max(m.announced[at], version)
			}
		},
		func() { m.tables[PerMinute].put(at, value{version, clicks}) },
		func() { m.seals[at] = max(m.seals[at], version) },
	}
}

func (m *model) ledger() RollupLedger {
	var all []Rolled
	for _, of := range m.entries {
		for _, e := range of {
			all = append(all, e)
		}
	}
	return NewRollupLedger(all)
}

// rollUp is one step of a rollup, in steps of its own.
func (m *model) rollUp(step Rollup, d Day) []func() {
	first, next := d.Span(step.To)
	entry := Rolled{Level: step.To, First: first}
	seen, waits := map[time.Time]uint64{}, false
	steps := []func(){
		func() {
			if step.From == PerMinute {
				waits = !m.allSealed(d)
				for at, version := range m.seals {
					if DayOf(at) == d {
						seen[at] = version
						entry.Parts += version
					}
				}
				return
			}
			ledger := m.ledger()
			entry.Parts, waits = SumVersions(ledger.Parts(step, d)), !ledger.Complete(step, d)
		},
		func() { entry.Version = m.now() },
	}
	// Half of the periods at a time: a store does not write all of them at once.
	for half := range 2 {
		steps = append(steps, func() {
			if waits {
				return
			}
			sums := map[time.Time]uint64{}
			for at, v := range m.tables[step.From] {
				if !at.Before(first.Start()) && at.Before(next.Start()) {
					period, _ := periodAround(step.To, at)
					sums[period] += v.clicks
				}
			}
			for period, sum := range sums {
				if period.Hour()%2 == half {
					m.tables[step.To].put(period, value{entry.Version, sum})
				}
			}
		})
	}
	return append(steps, func() {
		if old := m.entries[step.To][first]; waits || old.Version > entry.Version {
			return
		}
		m.entries[step.To][first] = entry
		if step.From == PerMinute {
			m.seen[first] = seen
		}
	})
}

// read is a report in steps: it may last while others go on. What it knows of
// rollups is from a moment ago. A sum is read as if nothing had changed since,
// and once more if something has by then; a report by ad asks first.
func (m *model) read() []func() {
	from := m.first.Start().Add(time.Duration(rapid.IntRange(0, 9*24*60).Draw(m.rt, "from")) * time.Minute)
	to := m.first.Add(m.days).Start().Add(-time.Duration(rapid.IntRange(0, 5*24*60).Draw(m.rt, "to")) * time.Minute)
	if rapid.Bool().Draw(m.rt, "everything") {
		from, to = m.first.Start(), m.first.Add(m.days).Start()
	}
	asked := question{from, to, drawPoints(m.rt, from, to)}
	if len(m.asked) > 0 && rapid.IntRange(0, 3).Draw(m.rt, "new") > 0 { // mostly what was asked before
		asked = rapid.SampledFrom(m.asked).Draw(m.rt, "asked")
	} else {
		m.asked = append(m.asked, asked)
	}
	r := &reading{model: m, question: asked, atLeast: map[time.Time]uint64{}}
	if rapid.Bool().Draw(m.rt, "by ad") {
		return []func(){r.know, r.begin, r.plan, r.figures, r.remember, r.check}
	}
	return []func(){r.know, r.begin, func() { r.planFor(nil) }, r.figures, func() {
		settled, rest := r.settled, r.rest
		if r.plan(); slices.Equal(settled, r.settled) && slices.Equal(rest, r.rest) {
			r.remember()
			r.check()
			r.done = true
		}
	}, r.figures, r.remember, r.check}
}

// question is what a report is asked.
type question struct {
	from, to time.Time
	starts   []time.Time
}

// reading is a report under way.
type reading struct {
	*model
	question
	ledger         RollupLedger
	seen           map[Day]map[time.Time]uint64
	atLeast        map[time.Time]uint64
	settled, rest  []Piece
	fromSettled    []uint64
	got, low, high []uint64
	done           bool
}

// know is what is remembered of rollups.
func (r *reading) know() { r.ledger, r.seen = r.model.ledger(), maps.Clone(r.model.seen) }

func (r *reading) begin() {
	for at, v := range r.tables[PerMinute] {
		r.atLeast[at] = v.clicks
	}
}

func (r *reading) plan() {
	changed := map[Day]bool{}
	for at, version := range r.announced {
		if version > r.seen[DayOf(at)][at] {
			changed[DayOf(at)] = true
		}
	}
	r.planFor(changed)
}

func (r *reading) planFor(changed map[Day]bool) {
	usable := r.ledger.Usable(changed)
	r.settled, r.rest = Settle(PlanRead(r.from, r.to, r.starts, usable), usable)
}

// key is all that the sums of the settled pieces follow from.
func (r *reading) key() string { return fmt.Sprint(r.settled, r.starts, r.ledger.Versions(r.settled)) }

func (r *reading) remember() {
	if !r.done {
		r.remembered[r.key()] = r.fromSettled
	}
}

func (r *reading) sums(pieces []Piece) []uint64 {
	sums := make([]uint64, len(r.starts))
	for _, p := range pieces {
		for at, v := range r.tables[p.Level] {
			if !at.Before(p.From) && at.Before(p.To) {
				sums[pointOf(r.starts, at)] += v.clicks
			}
		}
	}
	return sums
}

func (r *reading) figures() {
	if r.done {
		return
	}
	known := false
	if r.fromSettled, known = r.remembered[r.key()]; !known {
		r.fromSettled = r.sums(r.settled)
	}
	r.got, r.low, r.high = r.sums(r.rest), make([]uint64, len(r.starts)), make([]uint64, len(r.starts))
	for i, clicks := range r.fromSettled {
		r.got[i] += clicks
	}
	for at, v := range r.tables[PerMinute] {
		if !at.Before(r.from) && at.Before(r.to) {
			r.low[pointOf(r.starts, at)] += r.atLeast[at]
			r.high[pointOf(r.starts, at)] += v.clicks
		}
	}
}

func (r *reading) check() {
	for i := range r.got {
		if r.got[i] < r.low[i] || r.got[i] > r.high[i] {
			r.rt.Fatalf("point %d from %v is %d, the minutes said %d to %d; settled %v, rest %v", i, r.starts[i], r.got[i], r.low[i], r.high[i], r.settled, r.rest)
		}
	}
}

// allSealed: the minutes that have no clicks are sealed too, but none from
// before the ledger's start.
func (m *model) allSealed(d Day) bool { return !d.Start().Before(m.start) }

// due is what the ledger of windows and of rollups say has to be rolled up.
func (m *model) due() []Day {
	var days []MinutesOfDay
	for i := range m.days {
		of := MinutesOfDay{Day: m.first.Add(i)}
		if m.allSealed(of.Day) {
			of.Sealed = MinutesPerDay
		}
		for at, version := range m.seals {
			if DayOf(at) == of.Day {
				of.Versions += version
			}
		}
		days = append(days, of)
	}
	return DueRollups(days, m.ledger())
}

// begun is something that has steps left. A flush that dies is repeated by its
// workflow until it is sealed, so here it never does.
type begun struct {
	steps []func()
	dies  bool
}

// begin begins something of any kind.
func (m *model) begin() begun {
	switch rapid.IntRange(0, 3).Draw(m.rt, "what") {
	case 0:
		return begun{m.flush(), false}
	case 1:
		return begun{m.read(), false}
	case 2: // any step of any day, whether it is its turn or not
		step := rapid.SampledFrom(Rollups()).Draw(m.rt, "step")
		return begun{m.rollUp(step, m.first.Add(rapid.IntRange(0, m.days-1).Draw(m.rt, "day"))), true}
	default: // whole days, one after the other, as a tick has them
		return begun{m.tick(), true}
	}
}

func (m *model) tick() (steps []func()) {
	for _, d := range m.due() {
		for _, step := range Rollups() {
			steps = append(steps, m.rollUp(step, d)...)
		}
	}
	return steps
}

func TestNoOrderOfStepsLetsAFigureDependOnItsTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt)
		var running []begun
		for range rapid.IntRange(20, 150).Draw(rt, "turns") {
			if len(running) < 6 {
				running = append(running, m.begin())
			}
			i := rapid.IntRange(0, len(running)-1).Draw(rt, "turn")
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				if len(running[i].steps) > 0 {
					running[i].steps[0]()
					running[i].steps = running[i].steps[1:]
				}
			}
			if len(running[i].steps) == 0 || running[i].dies && rapid.IntRange(0, 9).Draw(rt, "dies") == 0 {
				running = append(running[:i], running[i+1:]...)
			}
		}
		for _, left := range running {
			for _, step := range left.steps {
				step()
			}
		}
		for _, step := range m.tick() {
			step()
		}
		if due := m.due(); len(due) > 0 {
			rt.Fatalf("still due are %v", due)
		}
		m.everythingIsRolledUp()
		for _, step := range m.read() {
			step()
		}
	})
}

// everythingIsRolledUp checks that after a night nothing is read by the minute
// that is kept by the day, and that all tables say the same.
func (m *model) everythingIsRolledUp() {
	want := map[Level]map[time.Time]uint64{}
	for _, step := range Rollups() {
		want[step.To] = map[time.Time]uint64{}
	}
	for at, v := range m.tables[PerMinute] {
		for level, of := range want {
			if first, _ := DayOf(at).Span(level); m.ledger().Current(level, first) {
				period, _ := periodAround(level, at)
				of[period] += v.clicks
			}
		}
	}
	for level, of := range want {
		got := map[time.Time]uint64{}
		for at, v := range m.tables[level] {
			if first, _ := DayOf(at).Span(level); m.ledger().Current(level, first) {
				got[at] = v.clicks
			}
		}
		if !maps.Equal(got, of) {
			m.rt.Fatalf("figures by the %v are %v, want %v", level, got, of)
		}
	}
	for at := range m.tables[PerMinute] {
		if m.allSealed(DayOf(at)) && !m.ledger().Current(PerDay, DayOf(at)) {
			m.rt.Fatalf("day %v was not rolled up", DayOf(at))
		}
	}
}
