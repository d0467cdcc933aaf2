package main

import (
	"slices"
	"testing"
	"time"
)

func TestTheSameSeedGivesTheSamePlan(t *testing.T) {
	one, same, other := newPlan(7, 10*time.Minute), newPlan(7, 10*time.Minute), newPlan(8, 10*time.Minute)
	if !slices.Equal(one, same) {
		t.Error("two plans of one seed differ")
	}
	if slices.Equal(one, other) {
		t.Error("two seeds gave one plan")
	}
}

func TestAShortRunHitsEveryProcessAndMakesEveryKindOfFault(t *testing.T) {
	for seed := range uint64(50) {
		hit, made := map[string]bool{}, map[kind]bool{}
		for _, f := range newPlan(seed, 5*time.Minute) {
			made[f.kind] = true
			if slices.Contains(processKinds[:], f.kind) {
				hit[f.target] = true
			}
		}
		for _, process := range processes() {
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
}

func TestALongRunHitsEveryProcessByEverySignal(t *testing.T) {
	made := map[string]bool{}
	plan := newPlan(1, 25*time.Minute)
	for _, f := range plan {
		made[f.where()+" "+string(f.kind)] = true
	}
	for _, process := range processes() {
		for _, k := range processKinds {
			if !made[process+" "+string(k)] {
				t.Errorf("%s: no %s", process, k)
			}
		}
	}
	if len(plan) < 200 {
		t.Errorf("only %d faults in 25 minutes", len(plan))
	}
}

func TestAFrozenIngesterLosesItsSession(t *testing.T) {
	const session = 10 * time.Second // internal/kafka/consumer.go
	for _, f := range newPlan(3, 2*time.Hour) {
		if f.kind == freeze && (f.target == "ingester-1" || f.target == "ingester-2") && f.lasts <= session {
			t.Errorf("%v", f)
		}
	}
}
