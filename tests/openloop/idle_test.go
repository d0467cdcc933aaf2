package openloop

import (
	"slices"
	"testing"
)

// Whatever the rate, each gateway gets as many clicks; one that keeps all its
// connections busy does not hold up the others.
func TestGatewaysAreClickedInTurn(t *testing.T) {
	const gateways, connections = 3, 9
	idle := newIdle(gateways, false)
	for number := range connections {
		idle.put(newConnection(number, gateway{number: number % gateways}))
	}
	clicks := [gateways]int{}
	for range 300 { // one at a time
		c := idle.take()
		clicks[c.gateway.number]++
		idle.put(c)
	}
	if clicks != [gateways]int{100, 100, 100} {
		t.Errorf("the gateways got %v of 300 clicks", clicks)
	}

	var stuck []*connection
	for len(stuck) < connections/gateways {
		if c := idle.take(); c.gateway.number == 1 {
			stuck = append(stuck, c)
		} else {
			defer idle.put(c)
		}
	}
	for idle.count > 0 {
		if c := idle.take(); c.gateway.number == 1 {
			t.Error("a connection that is busy was taken")
		}
	}
}

// In turn, the connection that rested longest is next, also when there come to be
// more than there ever were; otherwise the one that was used last.
func TestConnectionsHaveTheirTurns(t *testing.T) {
	idle := newIdle(1, true)
	next := 0 // the number that is due
	for number := range 5 {
		idle.put(newConnection(number, gateway{}))
	}
	for range 12 {
		c := idle.take()
		if c.number != next {
			t.Fatalf("got connection %d, want %d", c.number, next)
		}
		next = (next + 1) % 5
		idle.put(c)
	}
	for number := 5; number < 40; number++ {
		idle.put(newConnection(number, gateway{}))
	}
	var got []int
	for idle.count > 0 {
		got = append(got, idle.take().number)
	}
	want := []int{2, 3, 4, 0, 1}
	for number := 5; number < 40; number++ {
		want = append(want, number)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got connections %v, want %v", got, want)
	}

	idle = newIdle(1, false)
	for number := range 5 {
		idle.put(newConnection(number, gateway{}))
	}
	for _, want := range []int{4, 3, 2, 1, 0} {
		if c := idle.take(); c.number != want {
			t.Errorf("got connection %d, want %d, which was used last", c.number, want)
		}
	}
}
