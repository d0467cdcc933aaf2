//go:build drill

package drills

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest/shards"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	shardAway       = 80 * time.Second // a minute ends in it, and its lateness
	shardsPerSecond = 50               // clicks, of each advertiser
	addrsSetting    = config.Prefix + "CLICKHOUSE_ADDRS"
	askInterval     = 2 * time.Second
)

// shardsDrill is a fleet with ClickHouse servers of its own, and an advertiser on
// each of two shards, both clicked at.
type shardsDrill struct {
	fleet   *fleet.Fleet
	shards  *shards.Shards
	clicked *oracle.Oracle
	on      [2]*client.Advertiser // by the shard that they are on when there are two
	stop    func()
}

func newShardsDrill(t *testing.T, count int, length time.Duration) *shardsDrill {
	t.Helper()
	servers := shards.Start(t, 2, count)
	d := &shardsDrill{
		shards: servers, clicked: &oracle.Oracle{},
		fleet: fleet.Start(t, programs, map[string]string{addrsSetting: strings.Join(servers.Addrs()[:count], ",")}),
	}
	lake := &lakeDrill{fleet: d.fleet}
	for i := 1; d.on[0] == nil || d.on[1] == nil; i++ {
		advertiser, err := d.fleet.Admin.NewAdvertiser(t.Context(), fmt.Sprintf("Advertiser %d", i), adsCount)
		if err != nil {
			t.Fatal(err)
		}
		d.on[lake.count(t, "SELECT toUInt64(cityHash64(toInt64(?)) % 2)", advertiser.ID)] = advertiser
	}
	streams := []interface{ Stop() int64 }{}
	for _, advertiser := range d.on {
		streams = append(streams, d.fleet.Traffic(t, d.clicked, advertiser, int(length.Seconds())*shardsPerSecond, shardsPerSecond))
	}
	d.stop = func() {
		for _, stream := range streams {
			if repeated := stream.Stop(); repeated > 0 {
				t.Logf("%d clicks had to be repeated", repeated)
			}
		}
	}
	poll.Pause(t.Context(), before)
	return d
}

// end stops the traffic and judges.
func (d *shardsDrill) end(t *testing.T) {
	t.Helper()
	d.stop()
	d.fleet.WaitCounted(t, d.clicked, d.on[:]...)
	for _, advertiser := range d.on {
		d.fleet.WaitFinal(t, d.clicked, advertiser)
	}
	d.fleet.Compare(t, d.clicked, d.on[:]...)
	t.Logf("%d impressions were acknowledged", d.clicked.Promised())
}

// ask asks for all clicks of the advertiser on a shard.
func (d *shardsDrill) ask(ctx context.Context, shard int) (clicks int64, sealed time.Time, err error) {
	from := time.Now().Add(-time.Hour).Truncate(time.Minute)
	return d.fleet.Admin.Total(ctx, d.on[shard].ID, from, from.Add(2*time.Hour))
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(fmt.Sprint(err), "a server this needs does not answer just now") {
		t.Errorf("%s: %v", what, err)
	}
}

// One shard is killed under traffic, then the home shard. The figures of those on
// the other one go on, and no minute is called final that is not all there.
func TestAShardIsAwayAndThenTheHomeShard(t *testing.T) {
	t.Parallel()
	d := newShardsDrill(t, 2, 2*shardAway+4*time.Minute)
	killed := click.WindowOf(time.Now())
	d.shards.Kill(t, 1)
	poll.Pause(t.Context(), 2*time.Second)
	promised := d.clicked.Promised()
	for began := time.Now(); time.Since(began) < shardAway; poll.Pause(t.Context(), askInterval) {
		clicks, sealed, err := d.ask(t.Context(), 0)
		if err != nil || clicks == 0 {
			t.Errorf("with the other shard away there are %d clicks: %v", clicks, err)
		}
		if sealed.After(killed.Start()) {
			t.Errorf("sealed up to %v although clicks from %v on are not stored", sealed, killed)
		}
		_, _, err = d.ask(t.Context(), 1)
		wantUnavailable(t, "the figures of the shard that is away", err)
	}
	if d.clicked.Promised() == promised {
		t.Error("no click was acknowledged while the shard was away")
	}
	d.shards.Revive(t, 1)
	err := poll.Until(t.Context(), shardAway, lakeInterval, func(ctx context.Context) error {
		_, _, err := d.ask(ctx, 1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	d.shards.Kill(t, 0)
	poll.Pause(t.Context(), 2*time.Second)
	promised = d.clicked.Promised()
	for began := time.Now(); time.Since(began) < shardAway; poll.Pause(t.Context(), askInterval) {
		for shard := range d.on {
			_, _, err := d.ask(t.Context(), shard)
			wantUnavailable(t, "figures with the home shard away", err)
		}
	}
	if d.clicked.Promised() == promised {
		t.Error("no click was acknowledged while the home shard was away")
	}
	d.shards.Revive(t, 0)
	d.end(t)
}

// A store of one shard becomes one of two while people click; not one program is
// stopped for it before setup has ended.
func TestAShardIsAddedUnderTraffic(t *testing.T) {
	t.Parallel()
	d := newShardsDrill(t, 1, 8*time.Minute)
	poll.Pause(t.Context(), shardAway)
	d.shards.Spread(t, 2)
	variables := maps.Clone(d.fleet.Variables())
	variables[addrsSetting] = strings.Join(d.shards.Addrs(), ",")
	began := time.Now()
	if err := fleet.Setup(t.Context(), programs, variables); err != nil {
		t.Fatal(err)
	}
	t.Logf("setup took %v", time.Since(began).Round(time.Millisecond))
	for _, program := range []string{"gateway", "ingester", "aggregator"} {
		if err := d.fleet.Restart(t.Context(), program, variables); err != nil {
			t.Fatal(err)
		}
	}
	poll.Pause(t.Context(), after)
	d.end(t)
}
