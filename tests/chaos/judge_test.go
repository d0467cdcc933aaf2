package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestEveryWayToStoreAClickWronglyIsFound(t *testing.T) {
	minute := at("10:00:00")
	tests := []struct {
		name   string
		stored []time.Time
		want   tableFaults
	}{
		{"once, in the minute named", []time.Time{minute}, tableFaults{}},
		{"not at all", nil, tableFaults{Missing: 1}},
		{"in two minutes", []time.Time{minute, minute.Add(time.Minute)}, tableFaults{Repeated: 1}},
		{"twice in the minute", []time.Time{minute, minute}, tableFaults{Repeated: 1}},
		{"in another minute", []time.Time{minute.Add(time.Minute)}, tableFaults{Misplaced: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := &impression{id: uuid.New(), adID: 1}
			i.tried(recorded, at("10:00:01"), at("10:00:02"), at("10:00:01"), false)
			r := newResult(settings{})
			r.compareStored([]*impression{i}, map[uuid.UUID][]time.Time{i.id: test.stored})
			r.fill(newScore(), nil)
			if r.Table != test.want || r.Strangers != 0 {
				t.Errorf("found %+v and %d strangers, want %+v", r.Table, r.Strangers, test.want)
			}
			if wrong := r.Lost+r.Doubled > 0; wrong != (test.want != tableFaults{}) {
				t.Errorf("lost %d, doubled %d", r.Lost, r.Doubled)
			}
		})
	}
}

func TestAClickNobodyMadeIsDoubled(t *testing.T) {
	r := newResult(settings{})
	r.compareStored(nil, map[uuid.UUID][]time.Time{uuid.New(): {at("10:00:00")}})
	r.fill(newScore(), nil)
	if r.Strangers != 1 || r.Doubled != 1 {
		t.Errorf("%d strangers, %d doubled", r.Strangers, r.Doubled)
	}
}

func TestWhatIsOverIsNoLongerPossible(t *testing.T) {
	var i impression
	i.tried(noAnswer, at("10:00:50"), at("10:00:55"), time.Time{}, false)
	i.until(at("10:01:30"))
	if !i.mayCountIn(at("10:01:00")) || i.mayCountIn(at("10:02:00")) {
		t.Errorf("may count at %v", i.times)
	}
}
