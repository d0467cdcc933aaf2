package click

import (
	"testing"
	"time"
)

func TestHeldBack(t *testing.T) {
	at := func(s string) Window {
		w, err := ParseWindow(s)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	window := at("2026-11-23T10:05Z")
	closed := window.ClosedAt(10 * time.Second)
	holding := func(oldest string) GatewayState { return GatewayState{Depth: 3, Oldest: at(oldest), At: closed} }
	gone := holding("2026-11-23T10:00Z")
	gone.At = at("2026-11-23T10:04Z").Start()
	for name, c := range map[string]struct {
		gateways []GatewayState
		now      time.Time
		want     bool
	}{
		"no gateway":                   {nil, closed, false},
		"an empty journal":             {[]GatewayState{{Oldest: at("2026-11-23T10:00Z")}}, closed, false},
		"its own minute":               {[]GatewayState{holding("2026-11-23T10:05Z")}, closed, true},
		"an earlier minute":            {[]GatewayState{holding("2026-11-23T09:00Z")}, closed, true},
		"one that was gone before":     {[]GatewayState{gone}, closed, false},
		"only later minutes":           {[]GatewayState{holding("2026-11-23T10:06Z")}, closed, false},
		"the second of two":            {[]GatewayState{holding("2026-11-23T10:06Z"), holding("2026-11-23T10:04Z")}, closed, true},
		"at the end of the longest":    {[]GatewayState{holding("2026-11-23T10:05Z")}, closed.Add(SealHoldMax), true},
		"longer than it is waited for": {[]GatewayState{holding("2026-11-23T10:05Z")}, closed.Add(SealHoldMax + 1), false},
	} {
		if got := HeldBack(window, closed, c.gateways, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
