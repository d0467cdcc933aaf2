package main

import (
	"slices"
	"testing"
	"time"
)

func TestTheSameSeedGivesTheSamePlan(t *testing.T) {
	onEachStack(t, func(t *testing.T, s system) {
		one, same, other := newPlan(7, 10*time.Minute, s), newPlan(7, 10*time.Minute, s), newPlan(8, 10*time.Minute, s)
		if !slices.Equal(one, same) {
			t.Error("two plans of one seed differ")
		}
		if slices.Equal(one, other) {
			t.Error("two seeds gave one plan")
		}
	})
}

func TestAShortRunHitsEveryProcessAndMakesEveryKindOfFault(t *testing.T) {
	onEachStack(t, func(t *testing.T, s system) {
		for seed := range uint64(50) {
			hit, made := map[string]bool{}, map[kind]bool{}
			for _, f := range newPlan(seed, 5*time.Minute, s) {
				made[f.kind] = true
				if slices.Contains(processKinds[:], f.kind) {
					hit[f.target] = true
				}
			}
			for _, process := range s.processes() {
				if !hit[process] {
					t.Errorf("seed %d: %s is not hit", seed, process)
				}
			}
			for _, k := range append(append([]kind{wipe, refuse, fillUp}, processKinds[:]...), linkKinds[:]...) {
				if !made[k] {
					t.Errorf("seed %d: no %s", seed, k)
				}
			}
		}
	})
}

func TestALongRunHitsEveryProcessByEverySignal(t *testing.T) {
	onEachStack(t, func(t *testing.T, s system) {
		made := map[string]bool{}
		plan := newPlan(1, 25*time.Minute, s)
		for _, f := range plan {
			made[f.where()+" "+string(f.kind)] = true
		}
		for _, process := range s.processes() {
			for _, k := range processKinds {
				if !made[process+" "+string(k)] {
					t.Errorf("%s: no %s", process, k)
				}
			}
		}
		if len(plan) < 200 {
			t.Errorf("only %d faults in 25 minutes", len(plan))
		}
	})
}

// Of several servers of a part each is wiped and each refuses, sooner or later,
// and every connection is hit.
func TestChanceLeavesNothingOut(t *testing.T) {
	onEachStack(t, func(t *testing.T, s system) {
		made := map[string]bool{}
		for _, f := range newPlan(5, 12*time.Hour, s) {
			made[f.where()+" "+string(f.kind)] = true
		}
		want := func(where string, k kind) {
			if !made[where+" "+string(k)] {
				t.Errorf("%s: no %s", where, k)
			}
		}
		for _, server := range append(s.servers[valkeyCache], s.servers[valkeySeen]...) {
			want(server, wipe)
		}
		for _, server := range s.servers[clickhouse] {
			want(server, refuse)
		}
		for _, l := range s.links() {
			for _, k := range linkKinds {
				want(l.String(), k)
			}
		}
	})
}

func TestAFrozenIngesterLosesItsSession(t *testing.T) {
	const session = 10 * time.Second // internal/kafka/consumer.go
	onEachStack(t, func(t *testing.T, s system) {
		for _, f := range newPlan(3, 2*time.Hour, s) {
			if f.kind == freeze && partOf(f.target) == string(ingester) && f.lasts <= session {
				t.Errorf("%v", f)
			}
		}
	})
}

// The scorecard has one line for all that are the same.
func TestBrokersAreOneInTheScorecard(t *testing.T) {
	for target, want := range map[string]string{"kafka-2": "kafka: SIGKILL", "kafka": "kafka: SIGKILL", "valkey-seen-1": "valkey-seen: SIGKILL", "gateway-2": "gateway: SIGKILL"} {
		if got := (fault{kind: kill, target: target}).group(); got != want {
			t.Errorf("%s is in %q, want %q", target, got, want)
		}
	}
}
