package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// Faults come so close that they overlap.
	faultGapMin    = 6 * time.Second
	faultGapSpread = 2 * time.Second
	// quietStart is traffic with nothing going on.
	quietStart = 5 * time.Second
	// oneInSpecial of the random faults is none of a process or a connection.
	oneInSpecial = 8
)

// fault is one planned harm.
type fault struct {
	number int
	at     time.Duration // from the first click
	kind   kind
	target string // a process
	link   link   // or a connection
	lasts  time.Duration
	// variant chooses among the forms of a kind: how slow, which direction.
	variant uint32
}

// where names what is hit.
func (f fault) where() string {
	if f.kind.hitsLink() {
		return f.link.String()
	}
	return f.target
}

// String is one line for a person.
func (f fault) String() string {
	line := fmt.Sprintf("%3d  %7.1f s  %s: %s", f.number, f.at.Seconds(), f.where(), f.kind)
	if f.lasts > 0 {
		line += fmt.Sprintf(" for %.1f s", f.lasts.Seconds())
	}
	return line
}

// newPlan draws the faults of a run. The same seed, length and system give the
// same plan: first every process is hit once and every special fault made, then
// every process by its other two signals, then whatever chance says.
//
// Nothing keeps faults of several servers of a part apart: without most of the
// brokers clicks wait in the gateways' journals, without a shard or a primary
// they wait in Kafka.
func newPlan(seed uint64, length time.Duration, s system) []fault {
	p := planner{random: rand.New(rand.NewPCG(seed, 0)), system: s}
	first := p.random.IntN(len(processKinds))
	var turns []fault
	for round := range processKinds {
		var own []fault
		for i, process := range s.processes() {
			own = append(own, fault{kind: processKinds[(first+i+round)%len(processKinds)], target: process})
		}
		if round == 0 {
			turns = append(turns, p.shuffled(own)...)
			turns = append(turns, p.shuffled(p.specials())...)
			continue
		}
		turns = append(turns, p.shuffled(own)...)
	}
	var plan []fault
	for at := quietStart; at < length; at += faultGapMin + p.upTo(faultGapSpread) {
		f := p.any()
		if len(plan) < len(turns) {
			f = turns[len(plan)]
		}
		f.number, f.at, f.variant = len(plan)+1, at, p.random.Uint32()
		spans := f.kind.lasting()
		if f.kind == freeze {
			spans = freezes(f.target)
		}
		f.lasts = spans.from + p.upTo(spans.to-spans.from)
		plan = append(plan, f)
	}
	return plan
}

type planner struct {
	random *rand.Rand
	system system
}

func (p planner) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(p.random.Int64N(int64(d))).Round(100 * time.Millisecond)
}

func (p planner) shuffled(faults []fault) []fault {
	p.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	return faults
}

// specials are the faults that are neither a signal nor, but for one of each
// kind, a connection's.
func (p planner) specials() []fault {
	special := []fault{
		{kind: wipe, target: p.anyOf(valkeyCache)}, {kind: wipe, target: p.anyOf(valkeySeen)},
		{kind: refuse, target: p.anyOf(clickhouse)}, {kind: fillUp, target: spooler},
	}
	for _, k := range linkKinds {
		special = append(special, fault{kind: k, link: p.anyLink()})
	}
	return special
}

// any draws a fault: half of them hit processes, most others connections.
func (p planner) any() fault {
	special := p.specials()[:4]
	switch {
	case p.random.IntN(oneInSpecial) == 0:
		return special[p.random.IntN(len(special))]
	case p.random.IntN(2) == 0:
		all := p.system.processes()
		return fault{kind: processKinds[p.random.IntN(len(processKinds))], target: all[p.random.IntN(len(all))]}
	default:
		return fault{kind: linkKinds[p.random.IntN(len(linkKinds))], link: p.anyLink()}
	}
}

func (p planner) anyLink() link {
	all := p.system.links()
	return all[p.random.IntN(len(all))]
}

// anyOf draws a server of a part; where there is one only, nothing is drawn.
func (p planner) anyOf(part string) string {
	all := p.system.servers[part]
	if len(all) == 1 {
		return all[0]
	}
	return all[p.random.IntN(len(all))]
}
