package valkey

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	gatewaysTimeout = 2 * time.Second
	// A gateway that is gone is forgotten after a minute; one whose journal held
	// clicks is listed for a day, so that somebody misses it.
	goneLife        = time.Minute
	goneHoldingLife = 24 * time.Hour
)

// Gateways is where the gateways tell of their journals: one hash in the
// catalogue cache's Valkey, a field for each journal. It only informs: when it
// is lost, windows are sealed without waiting for journals, and clicks that are
// drained later are late ones. It is safe for concurrent use.
type Gateways struct {
	client  vk.Client
	key     string
	revoked string // the channel of revoked keys
}

// gatewayRow is the value of a field, as JSON.
type gatewayRow struct {
	Depth      int64        `json:"depth"`
	Oldest     click.Window `json:"oldest"`
	Recording  bool         `json:"recording"`
	AtMillis   int64        `json:"at_ms"`
	Partitions int32        `json:"partitions"`
}

// OpenGateways connects to where the gateways of c tell of themselves. A server
// that is away is no error.
func OpenGateways(c config.Config) (*Gateways, error) {
	client, err := vk.NewClient(vk.ClientOption{
		InitAddress: []string{c.ValkeyCacheAddr}, Username: c.ValkeyUser, Password: c.ValkeyPassword, TLSConfig: c.TLS(c.ValkeyTLS),
		Dialer: net.Dialer{Timeout: cacheDialTimeout}, ConnWriteTimeout: cacheWriteTimeout,
		DisableCache: true, ForceSingleClient: true, DisableRetry: true,
	})
	if client == nil {
		return nil, fmt.Errorf("open gateways' states at %s: %w", c.ValkeyCacheAddr, err)
	}
	return &Gateways{client: client, key: c.KeyPrefix() + "gateways", revoked: c.KeyPrefix() + "revoked"}, nil
}

// Close ends the connection.
func (g *Gateways) Close() { g.client.Close() }

// Tell publishes a gateway's state.
func (g *Gateways) Tell(ctx context.Context, state click.GatewayState) error {
	ctx, cancel := context.WithTimeout(ctx, gatewaysTimeout)
	defer cancel()
	value, err := json.Marshal(gatewayRow{
		Depth: state.Depth, Oldest: state.Oldest, Recording: state.Recording, AtMillis: state.At.UnixMilli(), Partitions: state.Partitions,
	})
	if err != nil {
		return fmt.Errorf("tell a gateway's state: %w", err)
	}
	err = g.client.Do(ctx, g.client.B().Hset().Key(g.key).FieldValue().FieldValue(state.JournalID, string(value)).Build()).Error()
	if err != nil {
		return fmt.Errorf("tell a gateway's state: %w: %w", click.ErrUnavailable, err)
	}
	return nil
}

// List is the state of every gateway, by journal id. Gateways that have been
// gone for long are forgotten on the way.
func (g *Gateways) List(ctx context.Context) ([]click.GatewayState, error) {
	ctx, cancel := context.WithTimeout(ctx, gatewaysTimeout)
	defer cancel()
	fields, err := g.client.Do(ctx, g.client.B().Hgetall().Key(g.key).Build()).AsStrMap()
	if err != nil {
		return nil, fmt.Errorf("list gateways: %w: %w", click.ErrUnavailable, err)
	}
	var states []click.GatewayState
	var gone []string
	now := time.Now()
	for id, value := range fields {
		var row gatewayRow
		if err := json.Unmarshal([]byte(value), &row); err != nil {
			gone = append(gone, id)
			continue
		}
		state := click.GatewayState{
			JournalID: id, Depth: row.Depth, Oldest: row.Oldest, Recording: row.Recording, At: time.UnixMilli(row.AtMillis).UTC(),
			Partitions: row.Partitions,
		}
		life := goneLife
		if state.Depth > 0 {
			life = goneHoldingLife
		}
		if now.Sub(state.At) > life {
			gone = append(gone, id)
			continue
		}
		states = append(states, state)
	}
	if len(gone) > 0 {
		// What fails here is done by the next.
		_ = g.client.Do(ctx, g.client.B().Hdel().Key(g.key).Field(gone...).Build()).Error()
	}
	slices.SortFunc(states, func(a, b click.GatewayState) int { return strings.Compare(a.JournalID, b.JournalID) })
	return states, nil
}
