package main

import (
	"testing"
	"time"
)

func TestConnectionsForWhatIsUnderWay(t *testing.T) {
	for _, test := range []struct {
		name   string
		s      settings
		linger time.Duration
		want   int
	}{
		{"answers come at once", settings{Rate: 15_000}, 5 * time.Millisecond, 256},
		{"each waits for its batch", settings{Rate: 10_000}, 60 * time.Millisecond, 1200},
		{"a curve where answers come at once", settings{Rate: 10_000, Rates: []int{10_000}}, 5 * time.Millisecond, 2500},
		{"a curve where each waits: as many", settings{Rate: 10_000, Rates: []int{10_000}}, 100 * time.Millisecond, 2500},
		{"a curve where each waits for long", settings{Rate: 10_000, Rates: []int{10_000}}, 200 * time.Millisecond, 4000},
		{"no more than a machine opens", settings{Rate: 1_000_000}, 60 * time.Millisecond, 10_000},
		{"as told", settings{Rate: 10_000, Connections: 7}, 60 * time.Millisecond, 7},
	} {
		if got := test.s.connections(test.linger); got != test.want {
			t.Errorf("%s: got %d connections, want %d", test.name, got, test.want)
		}
	}
}
