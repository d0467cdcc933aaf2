// Command stacks measures what a click costs on the local cluster and on one of
// each, in turn: a machine shared with others may be a third slower from one
// minute to the next, so only curves that were taken one right after the other
// can be compared, and several such pairs tell more than one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

// settings are the environment's; --help shows them.
type settings struct {
	Rounds   int           `env:"ROUNDS" default:"3" help:"Pairs of curves; every other one begins with the cluster."`
	Rates    []int         `env:"RATES" default:"1000,5000,10000,15000" help:"Clicks per second, one rate after the other."`
	Duration time.Duration `env:"DURATION" default:"20s" help:"How long to click at each rate."`
	WarmUp   time.Duration `env:"WARMUP" default:"15s" help:"How long to click at half the rate before that."`
	Settle   time.Duration `env:"SETTLE" default:"30s" help:"How long a stack just started is left alone: it catches up with what it was stopped for."`
	RatioMax float64       `env:"RATIO_MAX" default:"1.3" help:"How many times what it costs on one of each a click may cost on the cluster, at each rate, in the median of the rounds."`
}

func (s settings) check() error {
	switch {
	case s.Rounds < 1 || s.Rounds > 20:
		return errors.New("ROUNDS must be from 1 to 20")
	case len(s.Rates) == 0:
		return errors.New("RATES must have a rate at least")
	case len(slices.Compact(slices.Sorted(slices.Values(s.Rates)))) < len(s.Rates):
		return errors.New("RATES has a rate twice")
	case s.Settle < 0 || s.Settle > time.Hour:
		return errors.New("SETTLE must be from 0s to 1h")
	case s.RatioMax <= 0:
		return errors.New("RATIO_MAX must be above 0")
	default: // the rest is the load generator's to check
		return nil
	}
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("bench-stacks"), kong.UsageOnError(),
		kong.Description("Takes the curve of `just bench-curve` on one of each and on the cluster, in turn, and compares them. What runs is stopped, and so is everything at the end; data stays. Writes .local/reports/stacks.json."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench-stacks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if os.Getenv(config.StackVariable) != "" {
		return fmt.Errorf("unset %s: both stacks are measured", config.StackVariable)
	}
	defer func() { err = errors.Join(err, down(context.WithoutCancel(ctx))) }()
	result := newComparison(s)
	for round := range s.Rounds {
		order := []string{config.StackLocal, config.StackCluster}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		pair := map[string]curve{}
		for _, stack := range order {
			fmt.Printf("%s  round %d of %d: %s\n", time.Now().Format(time.TimeOnly), round+1, s.Rounds, stack)
			if pair[stack], err = measure(ctx, stack, s); err != nil {
				return fmt.Errorf("%s: %w", stack, err)
			}
		}
		if err := result.add(pair[config.StackLocal], pair[config.StackCluster]); err != nil {
			return err
		}
		result.show() // each time, so that one who ends it early has what there is
	}
	path, err := report.Write("stacks", result)
	if err != nil {
		return err
	}
	fmt.Println("Report:", path)
	return result.verdict()
}
