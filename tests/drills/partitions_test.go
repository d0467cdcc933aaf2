//go:build drill

package drills

import (
	"context"
	"strings"
	"testing"
	"time"

	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/tests/fleet"
	"clickledger/tests/poll"
)

const (
	raiseClicksPerSecond = 1000
	raiseAds             = 200 // so many that every partition has some
	raiseTimeout         = time.Minute
	raiseInterval        = time.Second
	partitionsVariable   = config.Prefix + "PARTITIONS"
)

// The number of partitions is raised as docs/operations.md says, under traffic:
// clicks wait in the gateway's journal while the old partitions are drained.
func TestPartitionsAreRaisedFrom8To16(t *testing.T) {
	d := beginWith(t, raiseTimeout, raiseAds, raiseClicksPerSecond, map[string]string{partitionsVariable: "8"})
	raised := d.fleet.Variables()
	raised[partitionsVariable] = "16"

	err := fleet.Setup(t.Context(), programs, raised)
	if err == nil || !strings.Contains(err.Error(), "still send to it") {
		t.Fatalf("setup raised the topic under a gateway that sends to the old partitions: %v", err)
	}
	for _, name := range []string{"gateway", "ingester", "aggregator"} {
		if err := d.fleet.Restart(t.Context(), name, raised); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	err = poll.Until(t.Context(), raiseTimeout, raiseInterval, func(ctx context.Context) error {
		return fleet.Setup(ctx, programs, raised)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("drained and raised after %v", time.Since(began).Round(time.Second))
	d.end(t)
	d.requireSpread(t, 16)
}

// requireSpread fails the test unless all partitions were clicked into.
func (d *drill) requireSpread(t *testing.T, partitions int) {
	t.Helper()
	admin, err := kafka.NewAdmin(d.fleet.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	lags, err := admin.Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, lag := range lags {
		if lag.End > 0 {
			used++
		}
	}
	if used != partitions || len(lags) != partitions {
		t.Errorf("%d of %d partitions have clicks, want %d", used, len(lags), partitions)
	}
}
