// Command lake measures what is done with the lake: reconciling an hour of
// clicks, bringing it back into an empty store, and archiving.
//
// It makes the lake itself: the hour, and the hours before it, in which one in
// a hundred of its impressions were issued. It works in a namespace of its own
// and leaves nothing behind.
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
	Clicks      int    `env:"CLICKS" default:"36000000" help:"Clicks of the hour, and of each hour before it."`
	HoursBefore int    `env:"HOURS_BEFORE" default:"3" help:"Hours before it that the lake has."`
	Ads         int    `env:"ADS" default:"2000" help:"Ads that are clicked, ten of each advertiser."`
	Archived    int    `env:"ARCHIVED" default:"1000000" help:"Records that are produced into Kafka and archived."`
	Keep        string `env:"KEEP" help:"Work in this namespace and leave the lake there for the next time."`
	SkipArchive bool   `env:"SKIP_ARCHIVE" help:"Do not measure the archive."`
}

func (s settings) check() error {
	switch {
	case s.Clicks < 3600 || s.Clicks > 200_000_000:
		return errors.New("CLICKS must be from 3,600 to 200,000,000")
	case s.HoursBefore < 0 || s.HoursBefore > 20:
		return errors.New("HOURS_BEFORE must be from 0 to 20")
	case s.Ads < 1 || s.Ads > 1_000_000:
		return errors.New("ADS must be from 1 to 1,000,000")
	case s.Archived < 1000 || s.Archived > 20_000_000:
		return errors.New("ARCHIVED must be from 1,000 to 20,000,000")
	default:
		return nil
	}
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("bench-lake"), kong.UsageOnError(),
		kong.Description("Measures reconciliation, backfill and archive in a namespace of its own. The servers must be up and otherwise quiet: `just up`. Writes .local/reports/lake.json."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench-lake:", err)
		os.Exit(1)
	}
}

// run is one measurement from an empty lake to its report.
func run(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	c, err := ownNamespace(s.Keep)
	if err != nil {
		return err
	}
	bench, err := newBench(ctx, c, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.close()) }()
	if !s.SkipArchive {
		if err := bench.archive(ctx); err != nil {
			return fmt.Errorf("archive: %w", err)
		}
	}
	if err := bench.fill(ctx); err != nil {
		return fmt.Errorf("fill the lake: %w", err)
	}
	if err := bench.backfill(ctx); err != nil {
		return fmt.Errorf("backfill: %w", err)
	}
	if err := bench.reconcile(ctx); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	fmt.Println(bench.result.table())
	path, err := report.Write("lake", bench.result)
	if err != nil {
		return err
	}
	fmt.Println("written to", path)
	return nil
}

// ownNamespace is the local stack's configuration under a fresh namespace, or
// the one that is kept.
func ownNamespace(keep string) (config.Config, error) {
	variables, err := config.LocalVariables()
	if err != nil {
		return config.Config{}, err
	}
	var id [3]byte
	_, _ = rand.Read(id[:])
	variables[config.Prefix+"NAMESPACE"] = "bench" + hex.EncodeToString(id[:])
	if keep != "" {
		variables[config.Prefix+"NAMESPACE"] = keep
	}
	return config.LoadFrom(variables)
}
