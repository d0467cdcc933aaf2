package valkey

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
)

// hearPause is between two tries to listen to the others.
const hearPause = time.Second

// TellRevoked tells all gateways that listen that a key was revoked. It only
// makes them hear of it sooner: what the store says of a key counts.
func (g *Gateways) TellRevoked(ctx context.Context, keyID int64) error {
	ctx, cancel := context.WithTimeout(ctx, gatewaysTimeout)
	defer cancel()
	err := g.client.Do(ctx, g.client.B().Publish().Channel(g.revoked).Message(strconv.FormatInt(keyID, 10)).Build()).Error()
	if err != nil {
		return fmt.Errorf("tell of a revoked key: %w: %w", click.ErrUnavailable, err)
	}
	return nil
}

// HearRevoked begins to call forget with each key that is revoked anywhere, until
// ctx ends. While Valkey is away nothing is heard.
func (g *Gateways) HearRevoked(ctx context.Context, forget func(keyID int64), log *slog.Logger) {
	go func() {
		for {
			err := g.client.Receive(ctx, g.client.B().Subscribe().Channel(g.revoked).Build(), func(m vk.PubSubMessage) {
				if id, err := strconv.ParseInt(m.Message, 10, 64); err == nil {
					forget(id)
				}
			})
			if ctx.Err() != nil {
				return
			}
			log.Debug("revoked keys are seen by the store alone until the cache is back", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(hearPause):
			}
		}
	}()
}
