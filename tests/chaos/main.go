// Command chaos clicks ads while everything below and beside the clicks is
// killed, frozen, restarted, wiped and cut off, heals it, waits until every
// minute is final, and compares what was counted with what people were told.
//
// The servers are the local stack's (`just up`, or `just cluster` with
// STACK=cluster), the supervisor's care. The programs are chaos's own, in a
// namespace of their own: two gateways, two ingesters, two aggregators, each behind
// a proxy before each server; see proxied for what has none in a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"clickledger/tests/report"
)

// settings are the environment's; --help shows them.
type settings struct {
	Minutes float64 `env:"CHAOS_MINUTES" default:"5" help:"How long faults are made; a fault comes every 7 s."`
	Rate    int     `env:"CHAOS_RATE" default:"300" help:"Impressions clicked per second."`
	Seed    uint64  `env:"CHAOS_SEED" default:"0" help:"The plan of faults; 0 draws one. It is shown, and the same seed, length and stack make the same plan."`
}

func (s settings) check() error {
	switch {
	case s.Minutes < 0.5 || s.Minutes > 24*60:
		return errors.New("CHAOS_MINUTES must be from 0.5 to 1440")
	case s.Rate < 1 || s.Rate > 5000:
		return errors.New("CHAOS_RATE must be from 1 to 5000")
	default:
		return nil
	}
}

func (s settings) length() time.Duration { return time.Duration(s.Minutes * float64(time.Minute)) }

func main() {
	var s settings
	kong.Parse(&s, kong.Name("chaos"), kong.UsageOnError(),
		kong.Description("Clicks while everything fails in turn, then compares what was counted with what was answered. The servers must be up and are everybody's: `just up`; of the cluster with STACK=cluster: `just cluster`. Writes .local/reports/chaos.json."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// run is one run from the programs' first start to the verdict.
func run(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if s.Seed == 0 {
		s.Seed = rand.Uint64N(1 << 32)
	}
	root, err := report.Root()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil { // the supervisor's socket has a relative name
		return err
	}
	supervisor, err := newSupervisor()
	if err != nil {
		return err
	}
	system, err := supervisor.system(ctx)
	if err != nil {
		return err
	}
	plan, stack := newPlan(s.Seed, s.length(), system), report.Stack()
	say("seed %d: %d faults in %v; again by STACK=%s CHAOS_SEED=%d CHAOS_MINUTES=%g just chaos", s.Seed, len(plan), s.length(), stack, s.Seed, s.Minutes)
	zerolog.SetGlobalLevel(zerolog.Disabled) // some of toxiproxy's toxics talk to zerolog's own logger
	stage, err := newStage(ctx, supervisor, system)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.end(err == nil || ctx.Err() != nil)) }()
	ads, err := newAudience(ctx, stage.admins[0])
	if err != nil {
		return err
	}
	score := newScore()
	crowd := newCrowd(stage.urls, stage.admins, ads.ids, s.Rate, score)
	hand := newHand(stage, crowd, score)

	say("clicking %d ads at %d a second", len(ads.ids), s.Rate)
	result := newResult(s)
	crowd.start(ctx)
	hand.run(ctx, plan)
	say("all faults are taken back; the last clicks")
	clicked := crowd.stop()
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was compared")
	}
	verdictErr := result.judge(ctx, stage, ads, clicked, crowd)
	result.fill(score, stage.endsByItself())
	return errors.Join(verdictErr, result.finish(plan))
}

func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}
