package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/s3"
	api "clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/report"
)

const (
	closeTimeout = 2 * time.Minute
	// gatewayAdBytes is more room than the ads it is asked about need.
	gatewayAdBytes = "1073741824"
)

// gateway is one of the two, and how it is reached.
type gateway struct {
	program *fleet.Program
	url     string
	ops     string
}

// bench is one measurement under way.
type bench struct {
	settings settings
	config   config.Config
	folder   string // programs, journals and logs
	programs []*fleet.Program
	gateways [2]gateway
	cache    *way // the second gateway's to the shared cache
	admin    *api.API
	store    *clickhouse.Store
	lake     *s3.Lake
	temporal client.Client
	result   result
}

func newBench(ctx context.Context, s settings, variables map[string]string) (b *bench, err error) {
	b = &bench{settings: s, result: result{Origin: report.NewOrigin(time.Now()), Ads: s.Ads, Changed: s.Changed, Edits: s.Edits}}
	if b.folder, err = os.MkdirTemp("", "clickledger-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.config, err = config.LoadFrom(variables); err != nil {
		return b, err
	}
	if b.cache, err = newWay(ctx, b.config.ValkeyCacheAddr); err != nil {
		return b, err
	}
	if err := fleet.Build(b.folder); err != nil {
		return b, err
	}
	if err := fleet.Setup(ctx, b.folder, variables); err != nil {
		return b, err
	}
	if b.store, err = clickhouse.Open(b.config); err != nil {
		return b, err
	}
	if b.lake, err = s3.Open(b.config); err != nil {
		return b, err
	}
	if b.temporal, err = client.Dial(client.Options{
		HostPort: b.config.TemporalAddr, Namespace: b.config.TemporalNamespace(), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}); err != nil {
		return b, fmt.Errorf("dial temporal: %w", err)
	}
	if err := b.start(ctx, variables); err != nil {
		return b, err
	}
	b.admin = api.New(b.gateways[0].url, b.config.AdminKey)
	advertisers := make([]click.AdvertiserRow, s.Advertisers)
	for i := range advertisers {
		advertisers[i] = click.AdvertiserRow{Advertiser: click.Advertiser{ID: int64(i + 1), Name: fmt.Sprint("Advertiser ", i+1)}, Version: 1}
	}
	return b, b.store.InsertAdvertisers(ctx, advertisers)
}

// start starts an aggregator and two gateways.
func (b *bench) start(ctx context.Context, variables map[string]string) error {
	addrs, err := fleet.FreeAddrs(5)
	if err != nil {
		return err
	}
	p := config.Prefix
	add := func(name, path, ops string, more map[string]string) *fleet.Program {
		own := maps.Clone(variables)
		maps.Copy(own, more)
		program := fleet.NewProgram(name, filepath.Join(b.folder, path), ops, filepath.Join(b.folder, name+".log"), own)
		b.programs = append(b.programs, program)
		return program
	}
	add("aggregator", "aggregator", addrs[0], map[string]string{p + "AGGREGATOR_OPS_LISTEN": addrs[0]})
	for i := range b.gateways {
		listen, ops := addrs[1+2*i], addrs[2+2*i]
		cache := b.config.ValkeyCacheAddr
		if i == 1 {
			cache = b.cache.addr
		}
		name := fmt.Sprint("gateway-", i+1)
		program := add(name, "gateway", ops, map[string]string{
			p + "GATEWAY_LISTEN": listen, p + "GATEWAY_OPS_LISTEN": ops, p + "PUBLIC_URL": "http://" + listen,
			p + "JOURNAL_PATH": filepath.Join(b.folder, name+".db"), p + "AD_CACHE_BYTES_MAX": gatewayAdBytes, p + "VALKEY_CACHE_ADDR": cache,
		})
		b.gateways[i] = gateway{program, "http://" + listen, ops}
	}
	for _, program := range b.programs {
		if err := program.Start(); err != nil {
			return err
		}
	}
	for _, program := range b.programs {
		if err := program.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close removes what was made, also when the measurement was interrupted.
func (b *bench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var err error
	for _, program := range b.programs {
		err = errors.Join(err, program.Stop())
	}
	if b.temporal != nil {
		b.temporal.Close()
	}
	if b.store != nil {
		err = errors.Join(err, b.store.Close())
	}
	if b.cache != nil {
		b.cache.close()
	}
	if b.config.Namespace != "" {
		err = errors.Join(err, fleet.Remove(ctx, b.config))
	}
	return errors.Join(err, os.RemoveAll(b.folder))
}
