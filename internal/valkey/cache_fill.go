package valkey

import (
	"context"
	"fmt"
	"strconv"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
)

// Cached are those of adIDs of which the cache has a row, whatever row it is.
func (c *Cache) Cached(ctx context.Context, adIDs []int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheWriteTimeout)
	defer cancel()
	commands := make([]vk.Completed, len(adIDs))
	for i, id := range adIDs {
		commands[i] = c.client.B().Exists().Key(c.key(id)).Build()
	}
	var cached []int64
	for i, result := range c.client.DoMulti(ctx, commands...) {
		there, err := result.AsInt64()
		if err != nil {
			return nil, fmt.Errorf("look into catalogue cache: %w: %w", click.ErrUnavailable, err)
		}
		if there > 0 {
			cached = append(cached, adIDs[i])
		}
	}
	return cached, nil
}

// Memory is what the cache's server uses and may use, in bytes; 0: it has no
// limit of its own. Beyond it rows are evicted.
func (c *Cache) Memory(ctx context.Context) (used, limit int64, err error) {
	text, err := c.client.Do(ctx, c.client.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, 0, fmt.Errorf("ask catalogue cache for its memory: %w: %w", click.ErrUnavailable, err)
	}
	facts := parseInfo(text)
	used, err = strconv.ParseInt(facts[infoUsed], 10, 64)
	if err == nil {
		limit, err = strconv.ParseInt(facts[infoMax], 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask catalogue cache for its memory: %w", err)
	}
	return used, limit, nil
}
