// Command seen measures the seen index: its memory for every click, the time
// per impression of a check and of a mark, what a burst costs, and how fast the
// index is rebuilt from the store.
//
// It works in a namespace of its own and leaves nothing behind. Memory is the
// whole Valkey's, so that server must be quiet meanwhile.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

// settings are the environment's; --help shows them.
type settings struct {
	Clicks int           `env:"CLICKS" default:"10000000" help:"Impressions clicked, evenly over the span."`
	Span   time.Duration `env:"SPAN" default:"1h" help:"Over how long they are clicked."`
	Batch  int           `env:"BATCH" default:"2000" help:"Impressions checked and marked at once: what the ingester gathers in 700 ms at that rate."`
	Burst  int           `env:"BURST" default:"100000" help:"Impressions issued in one second, on top."`
}

func (s settings) check() error {
	switch {
	case s.Clicks < 1 || s.Clicks > 100_000_000:
		return errors.New("CLICKS must be from 1 to 100,000,000")
	case s.Span < time.Minute || s.Span > 24*time.Hour:
		return errors.New("SPAN must be from 1m to 24h")
	case s.Batch < 1 || s.Batch > 50_000:
		return errors.New("BATCH must be from 1 to 50,000")
	case s.Burst < 1 || s.Burst > 10_000_000:
		return errors.New("BURST must be from 1 to 10,000,000")
	default:
		return nil
	}
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("bench-seen"), kong.UsageOnError(),
		kong.Description("Measures the seen index in a namespace of its own. The servers must be up and Valkey otherwise quiet: `just up`. Writes .local/reports/seen.json."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench-seen:", err)
		os.Exit(1)
	}
}

// run is one measurement from an empty index to its report.
func run(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	c, err := ownNamespace()
	if err != nil {
		return err
	}
	bench, err := newBench(ctx, c, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.close()) }()
	if err := bench.fill(ctx); err != nil {
		return err
	}
	if err := bench.burst(ctx); err != nil {
		return err
	}
	if err := bench.rebuild(ctx); err != nil {
		return err
	}
	fmt.Println(bench.result.table())
	path, err := report.Write("seen", bench.result)
	if err != nil {
		return err
	}
	fmt.Println("written to", path)
	return nil
}

// ownNamespace is the local stack's configuration under a fresh namespace. It
// is as long as the usual one, because every key begins with it.
func ownNamespace() (config.Config, error) {
	variables, err := config.LocalVariables()
	if err != nil {
		return config.Config{}, err
	}
	var id [3]byte
	_, _ = rand.Read(id[:])
	variables[config.Prefix+"NAMESPACE"] = "bench" + hex.EncodeToString(id[:])
	return config.LoadFrom(variables)
}
