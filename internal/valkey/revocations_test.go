package valkey

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

func TestARevokedKeyIsHeardOfByAllWhoListen(t *testing.T) {
	c := stacktest.Config(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan int64, 100)
	for range 2 {
		openGateways(t, c).HearRevoked(ctx, func(id int64) { heard <- id }, slog.New(slog.DiscardHandler))
	}
	teller, deadline := openGateways(t, c), time.After(20*time.Second)
	for seen := 0; seen < 2; { // who does not listen yet hears the next
		if err := teller.TellRevoked(ctx, 42); err != nil {
			t.Fatal(err)
		}
		select {
		case id := <-heard:
			if seen++; id != 42 {
				t.Fatalf("heard of %d", id)
			}
		case <-deadline:
			t.Fatal("it was not heard")
		}
	}
}

func TestNobodyToTellOfARevokedKeyIsUnavailable(t *testing.T) {
	g := openGateways(t, config.Config{Namespace: "away", ValkeyCacheAddr: "127.0.0.1:1"})
	if err := g.TellRevoked(t.Context(), 42); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("told: %v", err)
	}
}
