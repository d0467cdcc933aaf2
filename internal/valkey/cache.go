package valkey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	cacheDialTimeout  = time.Second
	cacheAskTimeout   = 250 * time.Millisecond
	cacheWriteTimeout = 2 * time.Second
	cachePingInterval = 250 * time.Millisecond
	cacheTTL          = time.Hour
)

// Cache keeps rows of the catalogue in Valkey and tells of every change to
// them. It only saves work: an away Valkey makes look-ups slower, never wrong.
// It works whether Valkey is up or not, also at the start, and mends itself.
// It is safe for concurrent use.
type Cache struct {
	client  vk.Client
	prefix  string
	script  *vk.Lua
	changed atomic.Pointer[func(adIDs []int64)]
	log     *slog.Logger
	pending pendingAds

	away atomic.Bool // as the last ping saw it
	lost atomic.Bool // invalidations may have been missed
	kick chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

// OpenCache connects to the cache of c. A server that is away is no error.
func OpenCache(c config.Config, log *slog.Logger) (*Cache, error) {
	cache := &Cache{
		prefix: c.KeyPrefix() + "ad:",
		script: vk.NewLuaScript(putScript),
		log:    log,
		kick:   make(chan struct{}, 1),
	}
	client, err := vk.NewClient(vk.ClientOption{
		InitAddress:      []string{c.ValkeyCacheAddr},
		Username:         c.ValkeyUser,
		Password:         c.ValkeyPassword,
		TLSConfig:        c.TLS(c.ValkeyTLS),
		Dialer:           net.Dialer{Timeout: cacheDialTimeout},
		ConnWriteTimeout: cacheWriteTimeout,
		// One connection: the order of answers and invalidations is the server's.
		PipelineMultiplex: -1,
		// A client even while the server is away: it dials again with each command.
		ForceSingleClient: true,
		// A look-up that fails has the store to turn to; it must not wait.
		DisableRetry:          true,
		ClientTrackingOptions: []string{"BCAST", "PREFIX", cache.prefix},
		OnInvalidations:       cache.invalidated,
	})
	if client == nil {
		return nil, fmt.Errorf("open catalogue cache at %s: %w", c.ValkeyCacheAddr, err)
	}
	cache.client = client
	return cache, nil
}

// Watch begins to call changed with the ids of ads whose rows were written, by
// anybody, or with none when invalidations may have been missed: then any ad
// may have changed. changed must be quick: answers wait behind it. It also
// watches over the connection, until ctx ends. Call it once.
func (c *Cache) Watch(ctx context.Context, changed func(adIDs []int64)) {
	c.changed.Store(&changed)
	c.lost.Store(true) // what was pushed before now was not heard
	ctx, stop := context.WithCancel(ctx)
	c.stop, c.done = stop, make(chan struct{})
	go c.watch(ctx)
}

// Get is the cached row of an ad; click.ErrNotFound when it is not cached,
// click.ErrUnavailable when Valkey does not answer.
func (c *Cache) Get(ctx context.Context, adID int64) (click.Ad, error) {
	if c.away.Load() {
		return click.Ad{}, fmt.Errorf("read catalogue cache: %w", click.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, cacheAskTimeout)
	defer cancel()
	value, err := c.client.Do(ctx, c.client.B().Get().Key(c.key(adID)).Build()).AsBytes()
	if vk.IsValkeyNil(err) {
		return click.Ad{}, fmt.Errorf("read catalogue cache: %w", click.ErrNotFound)
	}
	if err != nil {
		return click.Ad{}, fmt.Errorf("read catalogue cache: %w: %w", click.ErrUnavailable, err)
	}
	return decodeAd(adID, value)
}

// Put writes rows, each only over an older version of itself. Rows that could
// not be written are kept (a bounded number of them) and written when Valkey
// is back, so that an old row in it does not outlive an outage.
func (c *Cache) Put(ctx context.Context, ads ...click.Ad) error {
	if c.away.Load() {
		c.pending.add(ads)
		return fmt.Errorf("write catalogue cache: %w", click.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, cacheWriteTimeout)
	defer cancel()
	calls := make([]vk.LuaExec, 0, len(ads))
	for _, ad := range ads {
		value, err := encodeAd(ad)
		if err != nil {
			return fmt.Errorf("write catalogue cache: %w", err)
		}
		calls = append(calls, vk.LuaExec{
			Keys: []string{c.key(ad.ID)},
			Args: []string{value, strconv.Itoa(int(cacheTTL / time.Second))},
		})
	}
	var failed []click.Ad
	var faults []error
	for i, result := range c.script.ExecMulti(ctx, c.client, calls...) {
		if err := result.Error(); err != nil {
			failed, faults = append(failed, ads[i]), append(faults, err)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	c.pending.add(failed)
	return fmt.Errorf("write catalogue cache: %w: %d of %d rows: %w", click.ErrUnavailable, len(failed), len(ads), faults[0])
}

// Ping reports whether Valkey answers.
func (c *Cache) Ping(ctx context.Context) error {
	if err := c.client.Do(ctx, c.client.B().Ping().Build()).Error(); err != nil {
		return fmt.Errorf("ping catalogue cache: %w", err)
	}
	return nil
}

// Close ends the connection and the watch over it.
func (c *Cache) Close() {
	if c.stop != nil {
		c.stop()
		<-c.done
	}
	c.client.Close()
}

func (c *Cache) key(adID int64) string { return c.prefix + strconv.FormatInt(adID, 10) }

// invalidated hears what Valkey pushes: keys that were written, evicted or
// expired, or nil after a flush and when the connection ends.
func (c *Cache) invalidated(keys []vk.ValkeyMessage) {
	changed := c.changed.Load()
	if changed == nil {
		return
	}
	if keys == nil {
		c.lost.Store(true)
		select {
		case c.kick <- struct{}{}:
		default:
		}
		return
	}
	ids := make([]int64, 0, len(keys))
	for _, key := range keys {
		name, err := key.ToString()
		if err != nil {
			continue
		}
		if id, err := strconv.ParseInt(strings.TrimPrefix(name, c.prefix), 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		(*changed)(ids)
	}
}

// watch keeps the connection alive, for invalidations come only over a live
// one, and notices outages and their ends.
func (c *Cache) watch(ctx context.Context) {
	defer close(c.done)
	ticker := time.NewTicker(cachePingInterval)
	defer ticker.Stop()
	for {
		c.check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-ticker.C:
		}
	}
}

func (c *Cache) check(ctx context.Context) {
	pingCtx, cancel := context.WithTimeout(ctx, cacheDialTimeout)
	defer cancel()
	if err := c.Ping(pingCtx); err != nil {
		if ctx.Err() == nil && !c.away.Swap(true) {
			c.log.Warn("catalogue cache is away: ads are looked up in the store until it is back", "error", err)
		}
		c.lost.Store(true)
		return
	}
	if c.away.Swap(false) {
		c.log.Info("catalogue cache is back")
	}
	if rows := c.pending.take(); len(rows) > 0 {
		if err := c.Put(ctx, rows...); err != nil && !errors.Is(err, context.Canceled) {
			c.log.Warn("catalogue cache does not take what changed in the outage yet", "rows", len(rows), "error", err)
		}
	}
	// The rows first: what is told to be changed is then looked up anew.
	if c.lost.Swap(false) {
		(*c.changed.Load())(nil)
	}
}
