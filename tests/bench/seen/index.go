package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/valkey"
	"clickledger/tests/report"
)

const (
	// shownFor is how much earlier than its click an impression is issued, at
	// most. It spreads each batch over many sets, as in life.
	shownFor     = time.Minute
	closeTimeout = time.Minute
)

// bench is one measurement under way.
type bench struct {
	settings settings
	config   config.Config
	seen     *valkey.SeenIndex
	store    *clickhouse.Store
	end      time.Time // of the span
	ids      []click.ImpressionID
	result   result
}

func newBench(ctx context.Context, c config.Config, s settings) (*bench, error) {
	seen, err := valkey.OpenSeenIndex(c)
	if err != nil {
		return nil, err
	}
	store, err := clickhouse.Open(c)
	if err != nil {
		seen.Close()
		return nil, err
	}
	b := &bench{settings: s, config: c, seen: seen, store: store, end: time.Now()}
	b.result = result{
		Origin: report.NewOrigin(b.end), Clicks: s.Clicks, SpanSeconds: s.Span.Seconds(), Batch: s.Batch,
		Shards: c.SeenShards, Burst: s.Burst,
	}
	if err := clickhouse.Migrate(ctx, c); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// close removes what was made, also when the measurement was interrupted.
func (b *bench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := errors.Join(b.seen.Drop(ctx), clickhouse.DropDatabase(ctx, b.config), b.store.Close())
	b.seen.Close()
	return err
}

// clickedAt is when impression i is clicked.
func (b *bench) clickedAt(i int) time.Time {
	left := float64(b.settings.Clicks-i) / float64(b.settings.Clicks)
	return b.end.Add(-time.Duration(left * float64(b.settings.Span)))
}

// issue makes n impressions; issuedAt tells when each was issued.
func issue(n int, issuedAt func(i int) time.Time) ([]click.ImpressionID, error) {
	ids := make([]click.ImpressionID, n)
	for i := range ids {
		id, err := click.NewImpressionID(issuedAt(i), rand.Reader)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

// fill checks and marks every impression in the order of the clicks, as the
// ingester does, and measures time and memory.
func (b *bench) fill(ctx context.Context) (err error) {
	fmt.Printf("filling the index with %d impressions …\n", b.settings.Clicks)
	b.ids, err = issue(b.settings.Clicks, func(i int) time.Time {
		var random [2]byte
		_, _ = rand.Read(random[:])
		shown := float64(int(random[0])<<8|int(random[1])) / (1 << 16)
		return b.clickedAt(i).Add(-time.Duration(shown * float64(shownFor)))
	})
	if err != nil {
		return err
	}
	if err := b.declareEmpty(ctx); err != nil {
		return err
	}
	before, err := b.used(ctx)
	if err != nil {
		return err
	}
	checking, marking, err := b.checkAndMark(ctx, b.ids)
	if err != nil {
		return err
	}
	after, err := b.used(ctx)
	if err != nil {
		return err
	}
	clicks := float64(b.settings.Clicks)
	b.result.BytesPerClick = float64(after-before) / clicks
	b.result.CheckUS = checking.Seconds() * 1e6 / clicks
	b.result.MarkUS = marking.Seconds() * 1e6 / clicks
	return nil
}

// burst measures what the same index grows by when many impressions were
// issued in one second: their sets are too large for the compact form.
func (b *bench) burst(ctx context.Context) error {
	fmt.Printf("a burst of %d in one second …\n", b.settings.Burst)
	// A second of its own, before all others.
	second := b.end.Add(-b.settings.Span - 2*shownFor).Truncate(time.Second)
	ids, err := issue(b.settings.Burst, func(i int) time.Time {
		return second.Add(time.Duration(i) * time.Second / time.Duration(b.settings.Burst))
	})
	if err != nil {
		return err
	}
	before, err := b.used(ctx)
	if err != nil {
		return err
	}
	if _, _, err := b.checkAndMark(ctx, ids); err != nil {
		return err
	}
	after, err := b.used(ctx)
	if err != nil {
		return err
	}
	b.result.BurstBytesPerClick = float64(after-before) / float64(b.settings.Burst)
	return nil
}

// checkAndMark fails if an impression is found before it was marked.
func (b *bench) checkAndMark(ctx context.Context, ids []click.ImpressionID) (checking, marking time.Duration, err error) {
	for batch := range slices.Chunk(ids, b.settings.Batch) {
		asked := time.Now()
		seen, err := b.seen.Ask(ctx, batch)
		if err != nil {
			return 0, 0, err
		}
		checking += time.Since(asked)
		if slices.Contains(seen, true) {
			return 0, 0, errors.New("an impression was found before it was marked")
		}
		stored := time.Now()
		if err := b.seen.Mark(ctx, batch); err != nil {
			return 0, 0, err
		}
		marking += time.Since(stored)
	}
	return checking, marking, nil
}

// declareEmpty makes the index complete with nothing in it.
func (b *bench) declareEmpty(ctx context.Context) error {
	nonce := rand.Text()
	runID, err := b.seen.BeginRebuild(ctx, nonce, nil)
	if err != nil {
		return err
	}
	done, err := b.seen.FinishRebuild(ctx, nonce, runID)
	if err == nil && !done {
		err = errors.New("the index was lost while it was declared complete")
	}
	return err
}

// used is the memory of the whole server, in bytes.
func (b *bench) used(ctx context.Context) (int64, error) {
	complete, err := b.seen.Complete(ctx)
	if err == nil && !complete {
		err = errors.New("the index was lost meanwhile")
	}
	return b.seen.Memory().Used, err
}
