// Command load sends clicks to the running system at a constant rate, waits
// until every one is counted and final, compares, and reports.
//
// It is an open loop: click number i is due at begin + i/rate whatever the
// system does, and its latency is measured from then, so a stall is charged to
// every click that it delayed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"clickledger/internal/config"
	"clickledger/tests/client"
	"clickledger/tests/openloop"
	"clickledger/tests/report"
)

// settleTime is after how long of clicking memory should not grow any more; what is used then is compared with what is used at the end.
const settleTime = 5 * time.Minute

const (
	connectionsMin = 256
	connectionsMax = 10_000
	// curveWait is longer than a click waits on any local stack: with connections for the clicks of that time, a curve has as many
	// whatever the stack, so that one can be compared with another's.
	curveWait = 250 * time.Millisecond
)

// settings are the environment's; --help shows them.
type settings struct {
	Rate        int           `env:"RATE" default:"1000" help:"Clicks per second."`
	Duration    time.Duration `env:"DURATION" default:"30s" help:"How long to click."`
	WarmUp      time.Duration `env:"WARMUP" default:"20s" help:"How long to click at half the rate before that: counted and compared, not timed. Compilers and caches of a stack just started need it."`
	Ads         int           `env:"ADS" default:"1000" help:"Ads, over several advertisers; which is clicked is Zipf-distributed."`
	Connections int           `env:"CLIENTS" help:"Keep-alive connections, spread over the gateways. Each has one click under way: 256, or more where the gateways gather clicks for longer than these could have them wait. A curve has those of 250 ms of clicks at least, in turn."`
	Rates       []int         `env:"RATES" help:"Measure a curve instead: these rates one after the other, each as above. Writes .local/reports/curve.json."`
}

func (s settings) check() error {
	for _, rate := range s.Rates {
		at := s
		at.Rate, at.Rates = rate, nil
		if err := at.check(); err != nil {
			return fmt.Errorf("RATES: %d: %w", rate, err)
		}
	}
	switch {
	case s.Rate < 1 || s.Rate > 1_000_000:
		return errors.New("RATE must be from 1 to 1,000,000")
	case s.Duration < time.Second:
		return errors.New("DURATION must be at least 1s")
	case s.WarmUp < 0 || s.WarmUp > time.Hour:
		return errors.New("WARMUP must be from 0s to 1h")
	case s.Ads < 1 || s.Ads > 100_000:
		return errors.New("ADS must be from 1 to 100,000")
	case s.Connections < 0 || s.Connections > connectionsMax:
		return fmt.Errorf("CLIENTS must be from 1 to %d, or 0 for as many as it takes", connectionsMax)
	default:
		return nil
	}
}

// connections is how many there are, and so how many clicks can be under way at
// once. A click waits for at most one linger before its batch leaves and for about
// another until it is acknowledged, so as many are under way as come in two
// (Little's law). With fewer it is the load generator that is measured.
func (s settings) connections(linger time.Duration) int {
	if s.Connections > 0 {
		return s.Connections
	}
	wait := 2 * linger
	if s.curve() {
		wait = max(wait, curveWait)
	}
	return min(max(connectionsMin, int(float64(s.Rate)*wait.Seconds())), connectionsMax)
}

// curve tells a curve from one measurement.
func (s settings) curve() bool { return len(s.Rates) > 0 }

// clicks is how many are due in all.
func (s settings) clicks() int { return s.warmUp() + int(float64(s.Rate)*s.Duration.Seconds()) }

// warmUp is how many of them come first, at half the rate.
func (s settings) warmUp() int { return int(float64(s.Rate) * s.WarmUp.Seconds() / 2) }

func main() {
	var s settings
	kong.Parse(&s, kong.Name("load"), kong.UsageOnError(),
		kong.Description("Clicks at a constant rate, then compares what was counted with what was sent. The system must be up: `just run`, or `just cluster` with STACK=cluster. Writes .local/reports/load.json."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run is one measurement, or one for each rate of a curve, and its report.
func run(ctx context.Context, s settings) error {
	if err := s.check(); err != nil {
		return err
	}
	variables, err := config.LocalVariables()
	if err != nil {
		return err
	}
	c, err := config.LoadFrom(variables)
	if err != nil {
		return err
	}
	gateways := client.Gateways(variables, c.PublicURL)
	if s.curve() {
		return runCurve(ctx, s, c, gateways)
	}
	result, watch, err := measure(ctx, s, c, gateways)
	if err != nil {
		return err
	}
	defer watch.stop()
	say("waiting until the last minute is final")
	finalErr := watch.waitFinal(ctx)
	result.fillFinal(watch)
	return errors.Join(finalErr, result.finish())
}

// measure clicks at all gateways at one rate, from its advertisers until all is
// counted and compared. The watch goes on, to be stopped by the caller.
func measure(ctx context.Context, s settings, c config.Config, gateways []string) (*result, *watch, error) {
	admin := client.New(c.PublicURL, c.AdminKey)
	say("making %d ads of %d advertisers", s.Ads, advertiserCount)
	catalogue, err := newCatalogue(ctx, admin, s.Ads)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (is the system up? `just run`, or `just cluster`)", err)
	}
	say("issuing impressions for %d clicks", s.clicks())
	supply, err := openloop.NewSupply(ctx, admin, catalogue.ads, s.clicks())
	if err != nil {
		return nil, nil, err
	}
	stack, err := findStack(ctx)
	if err != nil {
		return nil, nil, err
	}
	asks := askInterval
	if s.curve() {
		asks = askSeldom
	}
	watch, err := newWatch(ctx, admin, catalogue.probe, asks)
	if err != nil {
		return nil, nil, err
	}

	result := &result{RateTarget: s.Rate, Origin: report.NewOrigin(time.Now())}
	tally := openloop.NewTally(len(catalogue.ads))
	before := stack.usage()
	connections := s.connections(c.ProduceLinger)
	say("clicking %d times a second for %v over %d connections to %v, after %v at half of that", s.Rate, s.Duration, connections, gateways, s.WarmUp)
	watch.start(ctx)
	warm, settled := stack.usageAfter(s.WarmUp), stack.usageAfter(settleTime)
	clicks := openloop.Sender{URLs: gateways, Connections: connections, InTurn: s.curve(), Rate: s.Rate, WarmUp: s.warmUp(), Supply: supply, Tally: tally}
	elapsed, err := clicks.Run(ctx)
	watch.stopClicking()
	if err != nil {
		watch.stop()
		return nil, nil, err
	}
	during := stack.usage()
	result.RateAchieved = float64(tally.Answered()) / elapsed.Seconds()
	watch.promise()
	tally.Promise(catalogue.ads, watch.promised)
	say("sent %d clicks in %.1f s; waiting until all are counted", tally.Sent()+watch.sent(), elapsed.Seconds())
	countErr := catalogue.waitCounted(ctx, admin, watch.promised)
	result.measureUsage(before, during, stack.usage(), tally.Sent()+watch.sent())
	if then, ok := warm(); ok {
		result.steadyCPU = cpuPerClick(then, during, tally.Sent()-int64(s.warmUp()))
	}
	if then, ok := settled(); ok { // a long load
		result.RSSMBSettled = then.rssMB()
	}
	if err := result.compare(ctx, admin, catalogue, watch.promised); err != nil {
		watch.stop()
		return nil, nil, errors.Join(countErr, err)
	}
	result.fill(tally, watch)
	return result, watch, nil
}

func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}
