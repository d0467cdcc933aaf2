package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"clickledger/tests/openloop"
)

const (
	clientsTogether = 16
	askTimeout      = time.Minute
	histogramDigits = 3
	clickAds        = 1000
	clickConns      = 64
	clickWarmUp     = 15 * time.Second
	// questionsWaiting is how many questions a second may be due and not asked.
	questionsWaiting = 512
	slowestShown     = 12
)

// latencies are in microseconds, by shape.
type latencies struct {
	mu       sync.Mutex
	of       map[*shape]*hdrhistogram.Histogram
	failures int
	failure  error // the first
}

// fail takes a question that was not answered.
func (l *latencies) fail(s *shape, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures++; l.failure == nil {
		l.failure = fmt.Errorf("%s: %w", s.name, err)
	}
}

func newLatencies() *latencies { return &latencies{of: map[*shape]*hdrhistogram.Histogram{}} }

func (l *latencies) add(s *shape, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[s] == nil {
		l.of[s] = hdrhistogram.New(1, askTimeout.Microseconds(), histogramDigits)
	}
	_ = l.of[s].RecordValue(min(took, askTimeout).Microseconds())
}

// ms is a quantile of a shape, in milliseconds.
func (l *latencies) ms(s *shape, quantile float64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[s] == nil {
		return 0
	}
	return rounded(float64(l.of[s].ValueAtQuantile(quantile)) / 1000)
}

// askAlone asks each shape with one client, warm: when all have been asked for
// some time of other advertisers, for a gateway and a store that have just begun
// are slow to begin with.
func (b *bench) askAlone(ctx context.Context) error {
	asked, warming, err := b.findSubjects(ctx)
	if err != nil {
		return err
	}
	b.shapes = b.makeShapes(asked)
	say("asking with one client, %v of it to warm up", b.settings.WarmUp)
	if err := b.warmUp(ctx, b.makeShapes(warming)); err != nil {
		return err
	}
	took := newLatencies()
	for _, s := range b.shapes {
		for i := range b.settings.Samples {
			began := time.Now()
			if _, err := s.ask(ctx, b.programs.admin.Reports, i); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			took.add(s, time.Since(began))
		}
		s.result.P50MS1, s.result.P99MS1 = took.ms(s, 50), took.ms(s, 99)
		say("  %-50s p50 %6.1f ms, p99 %6.1f ms", s.name, s.result.P50MS1, s.result.P99MS1)
	}
	return nil
}

func (b *bench) warmUp(ctx context.Context, shapes []*shape) error {
	began := time.Now()
	for round := 0; time.Since(began) < b.settings.WarmUp; round++ {
		for _, s := range shapes {
			if _, err := s.ask(ctx, b.programs.admin.Reports, round); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// askTogether asks all shapes in turn with many clients while people click. The
// answers are received, not decoded.
func (b *bench) askTogether(ctx context.Context) error {
	if b.settings.SkipLive {
		return nil
	}
	say("asking with %d clients for %v while %d clicks a second come", clientsTogether, b.settings.Live, b.settings.Rate)
	took := newLatencies()
	tally, err := b.whileClicking(ctx, func(ctx context.Context) error {
		clients, ctx := errgroup.WithContext(ctx)
		for range clientsTogether {
			clients.Go(func() error { return b.askUntil(ctx, took) })
		}
		return clients.Wait()
	})
	if err != nil {
		return err
	}
	for _, s := range b.shapes {
		s.result.P50MS16, s.result.P99MS16 = took.ms(s, 50), took.ms(s, 99)
		if took.of[s] != nil {
			s.result.Asked16 = int(took.of[s].TotalCount())
		}
		say("  %-50s p50 %6.1f ms, p99 %6.1f ms of %d", s.name, s.result.P50MS16, s.result.P99MS16, s.result.Asked16)
	}
	b.result.RedirectP99MS16 = redirectMS(tally, 99)
	say("  redirects: p50 %.1f ms, p99 %.1f ms", redirectMS(tally, 50), redirectMS(tally, 99))
	return nil
}

// askUntil asks one shape after the other, each round in another order.
func (b *bench) askUntil(ctx context.Context, took *latencies) error {
	for round := rand.IntN(1 << 20); ctx.Err() == nil; round++ {
		for _, i := range rand.Perm(len(b.shapes)) {
			s, began := b.shapes[i], time.Now()
			_, err := s.ask(ctx, b.programs.receiver.Reports, round)
			switch {
			case err == nil:
				took.add(s, time.Since(began))
			case ctx.Err() == nil: // else the time is over
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// timeRedirects clicks while a number of questions a second are asked, each at
// its time whatever became of those before. The answers are received, not decoded.
func (b *bench) timeRedirects(ctx context.Context) error {
	if b.settings.SkipLive {
		return nil
	}
	say("timing redirects for %v while %d questions a second come", b.settings.Live, b.settings.Asked)
	took := newLatencies()
	tally, err := b.whileClicking(ctx, func(ctx context.Context) error { return b.askAtRate(ctx, took) })
	if err != nil {
		return err
	}
	asked, late := int64(0), 0.0
	for s, h := range took.of {
		asked += h.TotalCount()
		late = max(late, took.ms(s, 99))
	}
	b.result.RedirectP50MS, b.result.RedirectP99MS = redirectMS(tally, 50), redirectMS(tally, 99)
	b.result.AskedPerSecond = rounded(float64(asked) / b.settings.Live.Seconds())
	if took.failures > 0 {
		say("  %d questions were not answered; the first: %v", took.failures, took.failure)
	}
	say("  redirects: p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms; %.1f questions a second, the slowest shape's p99 %.0f ms; not recorded: %v",
		b.result.RedirectP50MS, b.result.RedirectP99MS, redirectMS(tally, 99.9), b.result.AskedPerSecond, late, tally.Errors())
	say("  over 25 ms, by second: %v", tally.SlowestSeconds(slowestShown))
	return nil
}

func (b *bench) askAtRate(ctx context.Context, took *latencies) error {
	ticker := time.NewTicker(time.Second / time.Duration(b.settings.Asked))
	defer ticker.Stop()
	questions, asking := errgroup.WithContext(ctx)
	questions.SetLimit(questionsWaiting)
	var order []int
	for round := 0; asking.Err() == nil; round++ {
		if len(order) == 0 {
			order = rand.Perm(len(b.shapes))
		}
		s := b.shapes[order[0]]
		order = order[1:]
		select {
		case due := <-ticker.C:
			questions.Go(func() error {
				_, err := s.ask(ctx, b.programs.receiver.Reports, round)
				switch {
				case err == nil:
					took.add(s, time.Since(due))
				case ctx.Err() == nil: // too much is asked: it counts as not answered
					took.fail(s, err)
				}
				return nil
			})
		case <-asking.Done():
		}
	}
	return questions.Wait()
}

// whileClicking runs ask, which ends with its context, while clicks come at a
// constant rate.
func (b *bench) whileClicking(ctx context.Context, ask func(context.Context) error) (*openloop.Tally, error) {
	ads, err := b.clickedAds(ctx)
	if err != nil {
		return nil, err
	}
	warmUp := int(float64(b.settings.Rate) * clickWarmUp.Seconds() / 2)
	supply, err := openloop.NewSupply(ctx, b.programs.admin, ads, warmUp+int(float64(b.settings.Rate)*b.settings.Live.Seconds()))
	if err != nil {
		return nil, err
	}
	tally := openloop.NewTally(len(ads))
	clicks := openloop.Sender{
		URLs: []string{b.programs.url}, Connections: clickConns, Rate: b.settings.Rate, WarmUp: warmUp, Supply: supply, Tally: tally,
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	both, asking := errgroup.WithContext(asking)
	both.Go(func() error {
		defer stop()
		_, err := clicks.Run(asking)
		return err
	})
	both.Go(func() error {
		select {
		case <-time.After(clickWarmUp):
			return ask(asking)
		case <-asking.Done():
			return nil
		}
	})
	return tally, both.Wait()
}

// clickedAds are spread over all advertisers, the largest one's hottest first.
func (b *bench) clickedAds(ctx context.Context) (ads []int64, err error) {
	err = b.conn.QueryRow(ctx, `SELECT groupArray(ad_id) FROM (SELECT ad_id FROM bench_ads ORDER BY n = 1 AND ad_rank <= 5 DESC, cityHash64(ad_id) LIMIT ?)`, clickAds).Scan(&ads)
	if err != nil {
		return nil, fmt.Errorf("choose ads to click: %w", err)
	}
	return ads, nil
}

func redirectMS(t *openloop.Tally, quantile float64) float64 {
	return rounded(float64(t.Latency().ValueAtQuantile(quantile)) / 1000)
}
