// Command reports measures reports at scale: it fills a store of its own with
// ten million ads and ninety days of figures per minute, rolls them up, and
// asks a real gateway, alone and while people click.
//
// It works in a namespace of its own, in which the local stack's programs run
// meanwhile, and leaves nothing behind, unless it is told to keep it.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

// settings are the environment's; --help shows them.
type settings struct {
	Scale    float64       `env:"SCALE" default:"1" help:"Part of the whole to fill: 0.01 to try it out. Aims are judged at 1 only."`
	Days     int           `env:"DAYS" default:"90" help:"Days that have figures."`
	Samples  int           `env:"SAMPLES" default:"400" help:"How often each shape is asked by one client."`
	WarmUp   time.Duration `env:"WARM_UP" default:"30s" help:"How long all shapes are asked before the first is timed."`
	Live     time.Duration `env:"LIVE" default:"90s" help:"How long 16 clients ask, and how long 50 questions a second are asked."`
	Rate     int           `env:"RATE" default:"2000" help:"Clicks a second meanwhile."`
	Asked    int           `env:"ASKED" default:"50" help:"Questions a second while redirects are timed."`
	Keep     string        `env:"KEEP" help:"Work in this namespace and leave it there for the next time, which then begins with it."`
	SkipLive bool          `env:"SKIP_LIVE" help:"Only ask with one client."`
	Memory   *uint64       `env:"MEMORY" help:"Bytes that the gateway remembers figures in, if not as many as usual. 0: all is read each time, as if nobody had asked before."`
	Only     string        `env:"ONLY" help:"Only shapes whose name contains this."`
}

func (s settings) check() error {
	switch {
	case s.Scale < 0.001 || s.Scale > 1:
		return errors.New("SCALE must be from 0.001 to 1")
	case s.Days < 40 || s.Days > 380:
		return errors.New("DAYS must be from 40 to 380")
	case s.Samples < 1 || s.Samples > 10_000:
		return errors.New("SAMPLES must be from 1 to 10,000")
	case s.WarmUp < 0 || s.WarmUp > time.Hour:
		return errors.New("WARM_UP must be from 0s to 1h")
	case s.Live < time.Second || s.Live > time.Hour:
		return errors.New("LIVE must be from 1s to 1h")
	case s.Rate < 1 || s.Rate > 100_000:
		return errors.New("RATE must be from 1 to 100,000")
	case s.Asked < 1 || s.Asked > 10_000:
		return errors.New("ASKED must be from 1 to 10,000")
	default:
		return nil
	}
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("bench-reports"), kong.UsageOnError(),
		kong.Description("Measures reports in a namespace of its own. The servers must be up and otherwise quiet: `just up`. The stack's programs run in it meanwhile and are stopped at its end; `just run` starts them as usual. Writes .local/reports/reports.json."))
	// Whoever asks must not keep the clock of the clicks waiting: the system shares the processors out, not Go.
	runtime.GOMAXPROCS(4 * runtime.NumCPU())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench-reports:", err)
		os.Exit(1)
	}
}

// run is one measurement from an empty store to its report.
func run(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	bench, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.close()) }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"fill the store", bench.fill},
		{"start the programs", bench.startPrograms},
		{"ask with one client", bench.askAlone},
		{"ask the clicks themselves", bench.askRaw},
		{"ask with 16 clients", bench.askTogether},
		{"time redirects", bench.timeRedirects},
		{"look after the programs", bench.checkPrograms},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if err := bench.measured(ctx); err != nil {
		return err
	}
	fmt.Println(bench.result.table())
	path, err := report.Write("reports", bench.result)
	if err != nil {
		return err
	}
	fmt.Println("written to", path)
	return bench.result.missed()
}

// ownVariables are what is not as in the local stack: what the environment says,
// a fresh namespace, or the one that is kept, and that what is filled in stays.
func ownVariables(s settings) map[string]string {
	variables := map[string]string{}
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, config.Prefix) && !config.IsSecret(name) {
			variables[name] = value
		}
	}
	var id [3]byte
	_, _ = rand.Read(id[:])
	variables[config.Prefix+"NAMESPACE"] = "bench" + hex.EncodeToString(id[:])
	if s.Keep != "" {
		variables[config.Prefix+"NAMESPACE"] = s.Keep
	}
	if s.Memory != nil {
		variables[config.Prefix+"REPORT_CACHE_BYTES_MAX"] = strconv.FormatUint(*s.Memory, 10)
	}
	// The clicks of all days stay, to be asked too.
	variables[config.Prefix+"CLICKS_RETENTION_DAYS"] = "400"
	// The seen index is made of the clicks of this time, and six hours: of none.
	variables[config.Prefix+"TOKEN_VALIDITY"] = "1h"
	return variables
}

func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}
