// Command catalogue measures the catalogue at scale: importing a file of ads,
// filling the shared cache, what an ad costs in either cache, and how soon a
// change takes effect at two gateways.
//
// It runs the built programs in a namespace of its own and leaves nothing
// behind.
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

	"github.com/alecthomas/kong"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

// settings are the environment's; --help shows them.
type settings struct {
	Ads         int `env:"ADS" default:"10000000" help:"Ads of the file that is imported."`
	Advertisers int `env:"ADVERTISERS" default:"1000" help:"Advertisers they are of."`
	Changed     int `env:"CHANGED" default:"100000" help:"Ads of a second file that say something new."`
	Known       int `env:"KNOWN" default:"50000" help:"Ads that a gateway is asked about, for its memory."`
	Edits       int `env:"EDITS" default:"200" help:"Changes whose effect is waited for at both gateways."`
}

func (s settings) check() error {
	switch {
	case s.Ads < 1000 || s.Ads > 100_000_000:
		return errors.New("ADS must be from 1,000 to 100,000,000")
	case s.Advertisers < 1 || s.Advertisers > 1_000_000:
		return errors.New("ADVERTISERS must be from 1 to 1,000,000")
	case s.Changed < 1 || s.Changed > s.Ads:
		return errors.New("CHANGED must be from 1 to ADS")
	case s.Known < 1000 || s.Known > s.Ads:
		return errors.New("KNOWN must be from 1,000 to ADS")
	case s.Edits < 2 || s.Edits > 100_000:
		return errors.New("EDITS must be from 2 to 100,000")
	default:
		return nil
	}
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("bench-catalogue"), kong.UsageOnError(),
		kong.Description("Measures import, caches and changes of the catalogue in a namespace of its own. The servers must be up and otherwise quiet: `just up`. Writes .local/reports/catalogue.json."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench-catalogue:", err)
		os.Exit(1)
	}
}

// run is one measurement from an empty catalogue to its report.
func run(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	variables, err := config.LocalVariables()
	if err != nil {
		return err
	}
	var id [3]byte
	_, _ = rand.Read(id[:])
	// As long as the usual name: every key in the cache begins with it.
	variables[config.Prefix+"NAMESPACE"] = "bench" + hex.EncodeToString(id[:])
	bench, err := newBench(ctx, s, variables)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.close()) }()
	for _, step := range []func(context.Context) error{bench.imports, bench.sync, bench.knows, bench.edits} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Println(bench.result.table())
	path, err := report.Write("catalogue", bench.result)
	if err != nil {
		return err
	}
	fmt.Println("written to", path)
	return nil
}
