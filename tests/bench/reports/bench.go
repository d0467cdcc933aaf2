package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	store "clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/tests/fleet"
	"clickledger/tests/report"
)

const (
	closeTimeout    = 3 * time.Minute
	activityTimeout = 2 * time.Hour
	lateness        = 10 * time.Second
	// readTimeout is the longest silence of a query.
	readTimeout = 15 * time.Minute
)

// bench is one measurement under way.
type bench struct {
	settings  settings
	own       map[string]string // settings in place of the local stack's
	variables map[string]string // all of them
	config    config.Config
	store     *store.Store
	conn      driver.Conn // for what no program of ours does
	world     world
	env       *testsuite.TestActivityEnvironment
	programs  *programs
	shapes    []*shape
	result    result
}

func newBench(ctx context.Context, s settings) (*bench, error) {
	variables, err := config.LocalVariables()
	if err != nil {
		return nil, err
	}
	own := ownVariables(s)
	maps.Copy(variables, own)
	c, err := config.LoadFrom(variables)
	if err != nil {
		return nil, err
	}
	if len(c.ClickHouseAddrs) != 1 {
		return nil, errors.New("the store is filled past the shards: it must have one")
	}
	if err := store.Migrate(ctx, c); err != nil {
		return nil, err
	}
	if _, err := store.EnsureRetention(ctx, c); err != nil {
		return nil, err
	}
	b := &bench{settings: s, own: own, variables: variables, config: c, world: newWorld(s, c.Partitions, time.Now())}
	b.result = result{Origin: report.NewOrigin(time.Now()), Scale: s.Scale, Days: s.Days, live: !s.SkipLive, asked: s.Asked}
	if b.store, err = store.Open(c); err != nil {
		return nil, err
	}
	b.conn, err = clickhouse.Open(&clickhouse.Options{
		Addr:        c.ClickHouseAddrs,
		Auth:        clickhouse.Auth{Database: c.Database(), Username: c.ClickHouseUser, Password: c.ClickHousePassword},
		ReadTimeout: readTimeout,
		Settings:    clickhouse.Settings{"max_execution_time": 0},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to clickhouse: %w", err)
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	b.env = suite.NewTestActivityEnvironment()
	b.env.SetTestTimeout(activityTimeout)
	return b, nil
}

// close stops the programs and removes what was made, also when the measurement
// was interrupted.
func (b *bench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var stopErr error
	if b.programs != nil {
		stopErr = b.programs.stop(ctx)
	}
	errs := []error{stopErr, b.store.Close(), b.conn.Close()}
	if b.settings.Keep == "" && stopErr == nil {
		errs = append(errs, fleet.Remove(ctx, b.config))
	}
	return errors.Join(errs...)
}

// do runs an activity as a worker does.
func do[In, Out any](b *bench, activity func(context.Context, In) (Out, error), in In) (out Out, err error) {
	value, err := b.env.ExecuteActivity(activity, in)
	if err != nil {
		return out, err
	}
	return out, value.Get(&out)
}

// number asks for one number.
func (b *bench) number(ctx context.Context, query string, args ...any) (n uint64, err error) {
	if err := b.conn.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("ask clickhouse: %w", err)
	}
	return n, nil
}

// measured completes the result: how large everything was.
func (b *bench) measured(ctx context.Context) error {
	for _, of := range []struct {
		into  *uint64
		query string
	}{
		{&b.result.Ads, "SELECT uniqExact(ad_id) FROM ads"},
		{&b.result.Advertisers, "SELECT uniqExact(advertiser_id) FROM advertisers"},
		{&b.result.LargestAds, "SELECT max(ads) FROM (SELECT count() AS ads FROM bench_ads GROUP BY advertiser_id)"},
		{&b.result.MinuteRows, "SELECT count() FROM clicks_per_minute"},
		{&b.result.Clicks, "SELECT count() FROM clicks"},
	} {
		n, err := b.number(ctx, of.query)
		if err != nil {
			return err
		}
		*of.into = n
	}
	var err error
	b.result.FullDayClicks, err = b.number(ctx, "SELECT count() FROM clicks WHERE minute >= ? AND minute < ?", b.world.last().Start(), b.world.end.Start())
	for _, s := range b.shapes {
		s.result.Heavy = s.heavy
		b.result.Shapes = append(b.result.Shapes, s.result)
	}
	return err
}
