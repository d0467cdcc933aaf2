package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"clickledger/internal/config"
)

// setupTimeout is how long creating topics, tables, bucket and schedules may take; setup itself gives up sooner, and says why.
const setupTimeout = 4 * time.Minute

// programs are our own programs, in the order of the way of a click.
func (s stack) programs() []service {
	var all []service
	for i := range s.gateways {
		all = append(all, programService(s.gateways, i, "gateway", "answers clicks and the API"))
	}
	for i := range s.ingesters {
		all = append(all, programService(s.ingesters, i, "ingester", "stores clicks"))
	}
	for i := range s.aggregators {
		all = append(all, programService(s.aggregators, i, "aggregator", "makes figures (Temporal worker)"))
	}
	return all
}

// programService is number i of all the processes of one of our programs. The gateway is what a person waits for; the others follow
// behind it.
func programService(all []node, i int, role, what string) service {
	n := all[i]
	opsListen := "CLICKLEDGER_" + strings.ToUpper(role) + "_OPS_LISTEN"
	// The first listens where the settings say, so that a person can have it listen elsewhere.
	ops := func(at site) string {
		if i == 0 {
			return at.settings[opsListen]
		}
		return n.ops()
	}
	return service{
		name: n.name, program: role, what: what, group: program, addrs: n.addrs,
		command: func(at site) []string { return []string{at.bin(role)} },
		environment: func(at site) []string {
			environment := []string{"CLICKLEDGER_JOURNAL_PATH=" + at.data(n.name, "journal.db")}
			if i > 0 {
				environment = append(environment, opsListen+"="+n.ops(), "CLICKLEDGER_GATEWAY_LISTEN="+n.addr())
			}
			if len(all) > 1 {
				// They share the processors, as if each had a machine of its own. With every processor for each, one that has half
				// of the work wakes threads that find none: a fifth of a gateway's CPU a click at 5,000/s.
				environment = append(environment, fmt.Sprintf("GOMAXPROCS=%d", max(runtime.NumCPU()/len(all), 1)))
			}
			if role == "aggregator" { // the archive's memory would be kept five times
				return environment
			}
			// Some memory for less garbage collection: it costs the redirects their tail.
			return append(environment, "GOGC=400")
		},
		ready: func(ctx context.Context, at site) error {
			return httpReady(ctx, "http://"+ops(at)+"/readyz")
		},
		yields:      role != "gateway",
		stopTimeout: 30 * time.Second,
	}
}

type runCommand struct {
	Set settings `mapsep:"none" placeholder:"NAME=VALUE" help:"Settings of the programs in place of those in .local/env, until they are stopped or run without."`
}

// Run brings everything up, with the programs of the code as it is now.
func (r *runCommand) Run(ctx context.Context, at folder) error {
	if err := at.stack.checkSet(r.Set); err != nil {
		return err
	}
	begun := time.Now()
	// Compiling needs none of the servers, so a first start does both at once.
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return buildPrograms(bothCtx, at) })
	both.Go(func() error { return up(bothCtx, at) })
	if err := both.Wait(); err != nil {
		return err
	}
	known, err := ensureSettings(at)
	if err != nil {
		return err
	}
	known = known.with(r.Set)
	if err := runSetup(ctx, site{folder: at, settings: known}); err != nil {
		return err
	}
	c := newClient(at)
	old, err := outdated(ctx, c, known)
	if err != nil {
		return err
	}
	if err := forAll(old, func(s service) error { return c.order(ctx, "stop", s.name) }); err != nil {
		return err
	}
	if err := startAll(ctx, c, at.stack.servicesOf(program), r.Set); err != nil {
		return err
	}
	old, err = outdated(ctx, c, known)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		return fmt.Errorf("%s does not run with the settings it was told: somebody else starts programs too, or the supervisor is of older code, which `just down` ends", old[0].name)
	}
	fmt.Printf("Everything is ready (%s). Gateway: http://%s  Temporal UI: http://%s\n",
		time.Since(begun).Round(10*time.Millisecond), addrsOf(at.stack.gateways), temporalUIAddr)
	return nil
}

// checkSet refuses settings that would lose clicks, show a secret, or change nothing.
func (s stack) checkSet(set settings) error {
	_, namespace := set[config.Prefix+"NAMESPACE"]
	_, journal := set[config.Prefix+"JOURNAL_PATH"]
	if namespace && !journal {
		return fmt.Errorf("a journal has clicks of one namespace: with another %sNAMESPACE set another %sJOURNAL_PATH", config.Prefix, config.Prefix)
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		switch {
		case !strings.HasPrefix(name, config.Prefix) && !strings.HasPrefix(name, "GO"):
			return fmt.Errorf("%s is no setting of the programs: theirs begin with %s, those of Go with GO", name, config.Prefix)
		case config.IsSecret(name):
			return fmt.Errorf("%s is a secret, and any user of the machine can read a command line: set it in .local/env", name)
		case len(s.gateways) > 1 && (strings.HasSuffix(name, "_LISTEN") || name == config.Prefix+"JOURNAL_PATH"):
			return fmt.Errorf("%s cannot be the same for each of the %d gateways of this stack", name, len(s.gateways))
		}
	}
	return nil
}

// buildPrograms compiles all of them at once into .local/bin.
func buildPrograms(ctx context.Context, at folder) error {
	if err := at.make(); err != nil {
		return plainDiskError(err, at)
	}
	command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", at.shared("bin")+"/",
		"./workers/setup", "./gateway", "./workers/ingester", "./workers/aggregator")
	command.Dir = at.repository
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return errors.New("the programs do not compile: mend what is said above")
	}
	return nil
}

// runSetup runs `setup` to its end. What it says is in its log, and shown when it fails.
func runSetup(ctx context.Context, at site) error {
	limited, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	command := exec.CommandContext(limited, at.bin("setup"))
	command.Dir = at.repository
	command.Env = at.settings.environment()
	output, err := command.CombinedOutput()
	if logErr := os.WriteFile(at.log("setup"), output, 0o600); logErr != nil {
		return fmt.Errorf("write log of setup: %w", plainDiskError(logErr, at.folder))
	}
	if err != nil {
		_, _ = os.Stderr.Write(output)
		return fmt.Errorf("setup failed (%w): it said what is above", err)
	}
	return nil
}

// outdated are the programs that run from an older binary or with other settings.
func outdated(ctx context.Context, c *client, known settings) ([]service, error) {
	now, err := c.overview(ctx, false)
	if err != nil {
		return nil, err
	}
	var all []service
	for _, s := range c.at.stack.servicesOf(program) {
		current, err := fingerprint(c.at.bin(s.program), known)
		if err != nil {
			return nil, err
		}
		if r := now.find(s.name); r.State != stopped && r.Started != current {
			all = append(all, s)
		}
	}
	return all, nil
}
