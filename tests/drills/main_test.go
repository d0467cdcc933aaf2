//go:build drill

// Package drills stops the real servers under load, one after the other, and
// looks whether Clickledger comes through: everything acknowledged is counted
// once, in its minute, and all goes on by itself. It stops what everybody
// uses, so it runs alone: `just drills`.
package drills

import (
	"os"
	"testing"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

const (
	clicksPerSecond = 100
	adsCount        = 8
	// before and after are traffic with all servers there.
	before = 10 * time.Second
	after  = 10 * time.Second
)

// programs is the folder of the built programs, set once before any test.
var programs string

func TestMain(m *testing.M) { os.Exit(fleet.Main(m, &programs)) }

// drill is a fleet under traffic.
type drill struct {
	fleet      *fleet.Fleet
	advertiser *client.Advertiser
	clicked    *oracle.Oracle
	stream     *traffic.Stream
}

// begin starts a fleet and traffic that lasts for outage and what is around it.
func begin(t *testing.T, outage time.Duration) *drill {
	t.Helper()
	return beginWith(t, outage, adsCount, clicksPerSecond, nil)
}

// beginWith is begin with other traffic and other settings.
func beginWith(t *testing.T, outage time.Duration, ads, clicksPerSecond int, overrides map[string]string) *drill {
	t.Helper()
	d := &drill{fleet: fleet.Start(t, programs, overrides), clicked: &oracle.Oracle{}}
	var err error
	if d.advertiser, err = d.fleet.Admin.NewAdvertiser(t.Context(), "Advertiser", ads); err != nil {
		t.Fatal(err)
	}
	impressions := int((before+outage+after).Seconds()+120) * clicksPerSecond
	d.stream = d.fleet.Traffic(t, d.clicked, d.advertiser, impressions, clicksPerSecond)
	poll.Pause(t.Context(), before)
	return d
}

// end stops the traffic and judges.
func (d *drill) end(t *testing.T) {
	t.Helper()
	poll.Pause(t.Context(), after)
	repeated := d.stream.Stop()
	t.Logf("%d impressions were acknowledged, %d clicks had to be repeated", d.clicked.Promised(), repeated)
	for _, program := range []*fleet.Program{d.fleet.Gateway, d.fleet.Ingester, d.fleet.Aggregator} {
		if err := program.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	d.fleet.WaitCounted(t, d.clicked, d.advertiser)
	d.fleet.Compare(t, d.clicked, d.advertiser)
	d.fleet.WaitFinal(t, d.clicked, d.advertiser)
	d.fleet.Compare(t, d.clicked, d.advertiser)
}

// away stops a server, runs during, waits out the outage and starts it again.
func (d *drill) away(t *testing.T, server string, outage time.Duration, during func()) {
	t.Helper()
	fleet.StopServer(t, server)
	began := time.Now()
	during()
	poll.Pause(t.Context(), outage-time.Since(began))
	fleet.StartServer(t, server)
}
