// Command gateway redirects clicks, makes them durable in Kafka, and answers
// the API.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"clickledger/gateway/server"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/journal"
	"clickledger/internal/kafka"
	"clickledger/internal/lake"
	"clickledger/internal/process"
	"clickledger/internal/s3"
	"clickledger/internal/valkey"
)

const (
	shutdownTimeout = 10 * time.Second
	flushTimeout    = 5 * time.Second
	drainPause      = 250 * time.Millisecond
)

func main() {
	os.Exit(process.Main("gateway", "redirects clicks, makes them durable, answers the API", run))
}

// run is the gateway from its start to its ordered stop.
func run(ctx context.Context, c config.Config, log *slog.Logger) error {
	ops, err := process.NewOps(c.GatewayOpsListen)
	if err != nil {
		return err
	}
	go ops.Serve(log)
	defer ops.Stop()

	// First: what it may hold from before is this gateway's to bring home.
	kept, err := journal.Open(c.JournalPath, c.JournalBytesMax)
	if err != nil {
		return err
	}
	defer closeJournal(kept, log)
	watchJournal(ops.Registry, kept)
	if held := kept.Held(); held.Depth > 0 {
		log.Info("the journal holds clicks from before", "clicks", held.Depth, "oldest", held.Oldest.String())
	}

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.GatewayListen)
	if err != nil {
		return fmt.Errorf("listen for clicks: %w", err)
	}
	defer func() { _ = listener.Close() }()

	// None of these waits for its server: what is away is waited for below.
	db, err := clickhouse.Open(c)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	cache, err := valkey.OpenCache(c, log)
	if err != nil {
		return err
	}
	defer cache.Close()
	ads, err := server.NewAds(cache, db, c.AdCacheBytesMax)
	if err != nil {
		return err
	}
	ads.Watch(ops.Registry)
	follower := server.NewAdFollower(ads, db, log)
	cache.Watch(ctx, follower.Changed)
	// Before the first click: what was changed while nobody could tell the cache.
	follower.Follow(ctx)
	go follower.Run(ctx)
	producer, err := kafka.NewProducer(c)
	if err != nil {
		return err
	}
	// After the server, before the clients: the last clicks get their acks.
	defer flush(context.WithoutCancel(ctx), producer, log)
	gateways, err := valkey.OpenGateways(c)
	if err != nil {
		return err
	}
	defer gateways.Close()
	seen, err := valkey.OpenSeenIndex(c) // for the status only: the ingester alone judges clicks
	if err != nil {
		return err
	}
	defer seen.Close()
	bucket, err := s3.Open(c) // for the status only, too
	if err != nil {
		return err
	}
	breaker := server.NewBreaker(log, ops.Registry)

	filtered, err := kafka.NewFilteredProducer(c)
	if err != nil {
		return err
	}
	defer filtered.Close()

	known, err := newOwners()
	if err != nil {
		return err
	}
	srv, err := server.New(server.Parts{
		Config: c, Log: log, Registry: ops.Registry, Ads: ads, Producer: producer, Filtered: filtered, Journal: kept, Breaker: breaker,
		Store: store{Store: db, seal: new(recentSeal), reconciled: new(recentReconciled), owners: known}, Stream: stream{admin}, Letters: admin, Gateways: gateways, Cache: cache, Seen: seen,
		Archive: &lake.Archive{Lake: bucket, Stream: admin, Now: time.Now}, Readyz: ops.Readyz,
	})
	if err != nil {
		return err
	}
	gateways.HearRevoked(ctx, srv.Keys.Forget, log)
	// Until after the server: the last clicks are reported too.
	reporting, stopReporting := context.WithCancel(context.WithoutCancel(ctx))
	var reports sync.WaitGroup
	reports.Go(func() { srv.Filtered.Run(reporting) })
	defer reports.Wait()
	defer stopReporting()
	topic := &topicCheck{producer: producer, log: log}
	ops.AddCheck("journal", kept.Check)
	ops.AddCheck("clock", srv.Recorder.CheckClock)

	// They outlive the server, so that the last clicks are drained and told of.
	behindCtx, endBehind := context.WithCancel(context.WithoutCancel(ctx))
	var behind sync.WaitGroup
	beat := &heartbeat{journal: kept, partitions: c.Partitions, tell: gateways.Tell, log: log}
	behind.Go(func() { beat.run(behindCtx) })
	drain := &server.Drain{Log: log, Journal: kept, Producer: producer, Breaker: breaker, InTime: c.ProduceTimeout, Pause: drainPause}
	failed := make(chan error, 2)
	behind.Go(func() {
		if err := topic.wait(behindCtx); err != nil {
			failed <- err
			return
		}
		draining, stopDraining := context.WithCancel(behindCtx)
		defer stopDraining()
		go topic.watch(draining, func() {
			breaker.Hold()
			stopDraining()
		})
		drain.Run(draining)
	})
	defer func() {
		endBehind()
		behind.Wait()
		beat.beat(context.WithoutCancel(ctx))
	}()

	go func() { failed <- srv.Serve(listener) }()
	log.Info("clicks and API", "addr", listener.Addr().String())

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	ops.NotReady()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = errors.Join(err, srv.Shutdown(stopCtx))
	if ctx.Err() != nil { // not after a fault, with which there may be no draining
		awaitDrained(c.DrainTimeout, kept.Held, log)
	}
	return err
}

func closeJournal(j *journal.Journal, log *slog.Logger) {
	if held := j.Held(); held.Depth > 0 {
		log.Warn("clicks stay in the journal: they are counted when a gateway runs with it again", "clicks", held.Depth)
	}
	if err := j.Close(); err != nil {
		log.Error("stop", "error", err)
	}
}

func flush(ctx context.Context, producer *kafka.Producer, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := producer.Close(ctx); err != nil {
		log.Error("stop", "error", err)
	}
}
