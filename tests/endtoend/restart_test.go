package endtoend

import (
	"testing"
	"time"

	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	streamPerSecond   = 200
	streamImpressions = 40_000 // more than are used
	// quiet is traffic with nothing going on, before and after each restart.
	quiet = 2 * time.Second
)

// Every program is stopped in order and started again, and killed and started
// again, while clicks go on. Nothing that was acknowledged is lost or doubled.
func TestRestartsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	var clicked oracle.Oracle
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", 8)
	if err != nil {
		t.Fatal(err)
	}
	stream := f.Traffic(t, &clicked, advertiser, streamImpressions, streamPerSecond)
	for _, program := range []*fleet.Program{f.Ingester, f.Aggregator, f.Gateway} {
		for _, end := range []struct {
			how string
			do  func() error
		}{{"stopped", program.Stop}, {"killed", program.Kill}} {
			poll.Pause(t.Context(), quiet)
			if err := end.do(); err != nil {
				t.Errorf("%s could not be %s: %v", program.Name, end.how, err)
			}
			if program != f.Gateway {
				poll.Pause(t.Context(), quiet)
			}
			began := time.Now()
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			if err := program.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s was %s, and ready again after %v", program.Name, end.how, time.Since(began).Round(time.Millisecond))
		}
	}
	// Setup may run at any time: it changes nothing that is there.
	if err := f.Setup(t.Context()); err != nil {
		t.Error(err)
	}
	poll.Pause(t.Context(), quiet)
	t.Logf("%d clicks had to be repeated", stream.Stop())
	t.Logf("%d impressions were acknowledged", clicked.Promised())

	f.WaitCounted(t, &clicked, advertiser)
	f.Compare(t, &clicked, advertiser)
	f.WaitFinal(t, &clicked, advertiser)
	f.Compare(t, &clicked, advertiser)
}
