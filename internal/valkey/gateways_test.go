package valkey

import (
	"context"
	"errors"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

func openGateways(t *testing.T, c config.Config) *Gateways {
	t.Helper()
	g, err := OpenGateways(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestGatewaysTellAndAreForgotten(t *testing.T) {
	c := stacktest.Config(t)
	g := openGateways(t, c)
	t.Cleanup(func() { g.client.Do(context.Background(), g.client.B().Del().Key(g.key).Build()) })
	now := time.Now().UTC().Truncate(time.Millisecond)
	oldest := click.WindowOf(now.Add(-time.Hour))
	held := click.GatewayState{JournalID: "a", Depth: 3, Oldest: oldest, Recording: true, At: now}
	for _, state := range []click.GatewayState{
		{JournalID: "a", Depth: 9, At: now.Add(-time.Second)}, held, // the newest word counts
		{JournalID: "b", Recording: true, At: now},
		{JournalID: "gone", At: now.Add(-2 * goneLife)},
		{JournalID: "gone holding", Depth: 1, Oldest: oldest, At: now.Add(-2 * goneLife)},
		{JournalID: "gone for days", Depth: 1, Oldest: oldest, At: now.Add(-2 * goneHoldingLife)},
	} {
		if err := g.Tell(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is forgotten stays so
		states, err := g.List(t.Context())
		if err != nil || len(states) != 3 || states[0] != held || states[1].JournalID != "b" || states[2].JournalID != "gone holding" {
			t.Fatalf("%+v, %v", states, err)
		}
	}
}

func TestNobodyToAskIsUnavailable(t *testing.T) {
	g := openGateways(t, config.Config{Namespace: "away", ValkeyCacheAddr: "127.0.0.1:1"})
	if _, err := g.List(t.Context()); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("listed: %v", err)
	}
	if err := g.Tell(t.Context(), click.GatewayState{}); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("told: %v", err)
	}
}
