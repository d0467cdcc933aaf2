//go:build drill

package drills

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"go.temporal.io/sdk/client"

	"clickledger/internal/click"
	"clickledger/internal/kafka"
	"clickledger/internal/s3"
	ledger "clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/workflows"
)

const (
	sendAtOnce     = 5000 // clicks
	lakeWait       = 14 * time.Minute
	lakeInterval   = 500 * time.Millisecond
	seenLongBefore = 10 * time.Second // an impression was issued so long before its click
)

// lakeDrill is a fleet whose lake has begun, and what was clicked. It needs
// none of the servers to itself.
type lakeDrill struct {
	fleet       *fleet.Fleet
	temporal    client.Client
	lake        *s3.Lake
	advertisers []*ledger.Advertiser
	clicked     *oracle.Oracle
}

func newLakeDrill(t *testing.T, advertisers, ads int) *lakeDrill {
	t.Helper()
	d := &lakeDrill{fleet: fleet.Start(t, programs, nil), clicked: &oracle.Oracle{}}
	var err error
	d.temporal, err = client.DialContext(t.Context(), client.Options{HostPort: d.fleet.Config.TemporalAddr, Namespace: d.fleet.Config.TemporalNamespace()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.temporal.Close)
	if d.lake, err = s3.Open(d.fleet.Config); err != nil {
		t.Fatal(err)
	}
	for i := range advertisers {
		advertiser, err := d.fleet.Admin.NewAdvertiser(t.Context(), fmt.Sprintf("Advertiser %d", i+1), ads)
		if err != nil {
			t.Fatal(err)
		}
		d.advertisers = append(d.advertisers, advertiser)
	}
	// The lake begins while the stream is empty, as it does in an installation.
	run[workflows.ArchiveTickResult](t, d, "ArchiveTick", "drill-archive", `{}`)
	return d
}

// run runs a workflow as the CLI would, and returns its result.
func run[Result any](t *testing.T, d *lakeDrill, workflowType, id, input string) Result {
	t.Helper()
	result, err := try[Result](t, d, workflowType, id, input)
	if err != nil {
		t.Fatalf("%s %s: %v", workflowType, id, err)
	}
	return result
}

// try is run for what may fail.
func try[Result any](t *testing.T, d *lakeDrill, workflowType, id, input string) (Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lakeWait)
	defer cancel()
	var result Result
	options := client.StartWorkflowOptions{ID: id, TaskQueue: workflows.OperationsQueue}
	began := time.Now()
	started, err := d.temporal.ExecuteWorkflow(ctx, options, workflowType, json.RawMessage(input))
	if err == nil {
		err = started.Get(ctx, &result)
	}
	t.Logf("%s %s took %v", workflowType, id, time.Since(began).Round(time.Millisecond))
	return result, err
}

// send puts count clicks into the stream as a gateway does that drains its
// journal: with event times in the given minutes, evenly over all ads.
func (d *lakeDrill) send(t *testing.T, count int, minutes []click.Window) {
	t.Helper()
	producer, err := kafka.NewProducer(d.fleet.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := producer.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	type place struct {
		ad     int64
		minute click.Window
	}
	sums, clicks := map[place]int64{}, make([]click.Routed, 0, sendAtOnce)
	for i := range count {
		advertiser := d.advertisers[i%len(d.advertisers)]
		ad, minute := advertiser.Ads[i/len(d.advertisers)%len(advertiser.Ads)].GetAdId(), minutes[i*7919%len(minutes)]
		at := minute.Start().Add(time.Duration(i%60_000) * time.Millisecond)
		impression, err := click.NewImpressionID(at.Add(-seenLongBefore), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		clicks = append(clicks, click.Routed{FanOut: 1, Click: click.Click{
			AdID: ad, AdvertiserID: advertiser.ID, Impression: impression, ClickedAt: at, Arrival: click.NewArrivalID(4711, uint64(i)),
		}})
		sums[place{ad, minute}]++
		if len(clicks) < sendAtOnce && i < count-1 {
			continue
		}
		if err := errors.Join(producer.ProduceAll(t.Context(), clicks)...); err != nil {
			t.Fatal(err)
		}
		clicks = clicks[:0]
	}
	for place, sum := range sums {
		d.clicked.AddCount(place.ad, place.minute.Start(), sum)
	}
}

// exec has ClickHouse do something that no program of ours would.
func (d *lakeDrill) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	connection := d.connect(t, d.fleet.Config.ClickHouseAddrs...)
	defer func() { _ = connection.Close() }()
	if err := connection.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// execOnEachShard is exec for tables that no program names.
func (d *lakeDrill) execOnEachShard(t *testing.T, query string, args ...any) {
	t.Helper()
	for _, addr := range d.fleet.Config.ClickHouseAddrs {
		connection := d.connect(t, addr)
		err := errors.Join(connection.Exec(t.Context(), query, args...), connection.Close())
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// count asks ClickHouse for one number.
func (d *lakeDrill) count(t *testing.T, query string, args ...any) uint64 {
	t.Helper()
	connection := d.connect(t, d.fleet.Config.ClickHouseAddrs...)
	defer func() { _ = connection.Close() }()
	var n uint64
	if err := connection.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (d *lakeDrill) connect(t *testing.T, addrs ...string) clickhousego.Conn {
	t.Helper()
	c := d.fleet.Config
	connection, err := clickhousego.Open(&clickhousego.Options{
		Addr: addrs, Auth: clickhousego.Auth{Database: c.Database(), Username: c.ClickHouseUser, Password: c.ClickHousePassword},
		Settings: clickhousego.Settings{"distributed_foreground_insert": 1, "mutations_sync": 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

// differ reports whether any figure is not what was clicked.
func (d *lakeDrill) differ(t *testing.T) []oracle.Difference {
	t.Helper()
	differences, err := d.clicked.Differences(t.Context(), d.advertisers)
	if err != nil {
		t.Fatal(err)
	}
	return differences
}

// awaitRight waits until every figure is what was clicked. Minutes from before
// the ledger's start show when a tick has flushed them.
func (d *lakeDrill) awaitRight(t *testing.T) {
	t.Helper()
	err := poll.Until(t.Context(), lakeWait, lakeInterval, func(ctx context.Context) error {
		differences, err := d.clicked.Differences(ctx, d.advertisers)
		if err == nil && len(differences) > 0 {
			err = fmt.Errorf("%d figures differ, first: %s", len(differences), differences[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// minutesAgo are count minutes that ended some minutes ago, step apart, the
// latest first.
func minutesAgo(ago, step, count int) []click.Window {
	now := time.Now()
	var minutes []click.Window
	for i := range count {
		minutes = append(minutes, click.WindowOf(now.Add(-time.Duration(ago+i*step)*time.Minute)))
	}
	return minutes
}
