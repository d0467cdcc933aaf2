package openloop

import "testing"

// Whatever the rate, each gateway gets as many clicks; one that keeps all its
// connections busy does not hold up the others.
func TestGatewaysAreClickedInTurn(t *testing.T) {
	const gateways, connections = 3, 9
	idle := newIdle(gateways)
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
