package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/internal/lake"
	"clickledger/internal/parquet"
	"clickledger/internal/s3"
)

const (
	produceAtOnce = 10_000
	// measuredRate is the clicks a second that the archive's cores are told for.
	measuredRate = 10_000
)

// archive produces records and archives them with the product's activities, in
// a namespace of its own. What is measured is this process's processor time: it
// reads Kafka, sorts, encodes and writes S3 as the aggregator does.
func (b *bench) archive(ctx context.Context) error {
	c, err := ownNamespace("")
	if err != nil {
		return err
	}
	c.ProduceTimeout = time.Minute // a busy machine is no fault
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	bucket, err := s3.Open(c)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		_ = errors.Join(admin.Drop(ctx), bucket.Drop(ctx))
	}()
	if _, err := bucket.Ensure(ctx); err != nil {
		return err
	}
	if err := admin.Setup(ctx); err != nil {
		return err
	}
	if _, err := timed(fmt.Sprintf("produces %d clicks", b.settings.Archived), func() error { return b.produce(ctx, c) }); err != nil {
		return err
	}
	over := time.Now().Add(2 * click.ArchiveLength) // by then each window is over
	a := &activities.Archive{
		Stream: admin, Lake: bucket, Encode: parquet.EncodeClicks, Now: func() time.Time { return over },
		Watch: &lake.Archive{Lake: bucket, Stream: admin, Now: time.Now},
	}
	env := quietEnvironment()
	env.RegisterActivity(a)
	before, rows := cpuTime(), int64(0)
	_, err = timed("archives them", func() error {
		earliest, err := admin.Earliest(ctx)
		if err != nil {
			return err
		}
		for w := click.ArchiveWindowOf(earliest); w.Start().Before(time.Now()); w = click.NextArchive(w) {
			archived, err := archiveWindow(env, a, w)
			if err != nil {
				return err
			}
			rows += archived
		}
		return nil
	})
	if err != nil {
		return err
	}
	if rows != int64(b.settings.Archived) {
		return fmt.Errorf("%d clicks were archived of %d", rows, b.settings.Archived)
	}
	b.result.ArchiveCores = (cpuTime() - before).Seconds() / float64(rows) * measuredRate
	return nil
}

// archiveWindow does what ArchiveWindow does.
func archiveWindow(env *testsuite.TestActivityEnvironment, a *activities.Archive, w click.Window) (rows int64, err error) {
	fixed, err := doIn(env, a.FixRanges, activities.FixRangesInput{Window: w})
	if err != nil {
		return 0, err
	}
	publish := activities.PublishManifestInput{Window: w, Topic: fixed.Topic, TopicID: fixed.TopicID}
	for _, r := range fixed.Ranges {
		written, err := doIn(env, a.WriteRange, activities.WriteRangeInput{Window: w, Range: r})
		if err != nil {
			return 0, err
		}
		publish.Ranges = append(publish.Ranges, written.Range)
		rows += written.Range.Rows
	}
	_, err = doIn(env, a.PublishManifest, publish)
	return rows, err
}

func (b *bench) produce(ctx context.Context, c config.Config) error {
	producer, err := kafka.NewProducer(c)
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close(context.WithoutCancel(ctx)) }()
	people := &crowd{random: rand.New(rand.NewPCG(3, 4)), ids: rand.NewChaCha8([32]byte{3}), ads: b.settings.Ads, hour: b.hour}
	for left := b.settings.Archived; left > 0; left -= produceAtOnce {
		clicks := make([]click.Routed, min(left, produceAtOnce))
		for i := range clicks {
			clicks[i] = click.Routed{FanOut: click.FanOutHot, Click: people.next(time.Now())}
		}
		if err := errors.Join(producer.ProduceAll(ctx, clicks)...); err != nil {
			return err
		}
	}
	return nil
}

// cpuTime is what this process has used of processors.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it cannot fail for oneself
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
