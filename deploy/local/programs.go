package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sync/errgroup"
)

// setupTimeout is how long creating topics, tables, bucket and schedules may take; setup itself gives up sooner, and says why.
const setupTimeout = 4 * time.Minute

// programServices are our own programs, in the order of the way of a click.
func programServices() []service {
	return []service{
		programService("gateway", "answers clicks and the API", "CLICKLEDGER_GATEWAY_OPS_LISTEN", gatewayAddr, "127.0.0.1:8090"),
		programService("ingester", "stores clicks", "CLICKLEDGER_INGESTER_OPS_LISTEN", "127.0.0.1:8091"),
		programService("aggregator", "makes figures (Temporal worker)", "CLICKLEDGER_AGGREGATOR_OPS_LISTEN", "127.0.0.1:8092"),
	}
}

// programService is one of our programs. The gateway is what a person waits for; the others follow behind it.
func programService(name, what, opsListen string, addrs ...string) service {
	return service{
		name: name, what: what, group: program, addrs: addrs,
		command: func(at site) []string { return []string{at.bin(name)} },
		environment: func(at site) []string {
			environment := []string{"CLICKLEDGER_JOURNAL_PATH=" + at.data("gateway", "journal.db")}
			if name == "aggregator" { // the archive's memory would be kept five times
				return environment
			}
			// Some memory for less garbage collection: it costs the redirects their tail.
			return append(environment, "GOGC=400")
		},
		ready: func(ctx context.Context, at site) error {
			return httpReady(ctx, "http://"+at.settings[opsListen]+"/readyz")
		},
		yields:      name != "gateway",
		stopTimeout: 30 * time.Second,
	}
}

type runCommand struct{}

// Run brings everything up, with the programs of the code as it is now.
func (runCommand) Run(ctx context.Context, at folder) error {
	begun := time.Now()
	// Compiling needs none of the servers, so a first start does both at once.
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return buildPrograms(bothCtx, at) })
	both.Go(func() error { return up(bothCtx, at) })
	if err := both.Wait(); err != nil {
		return err
	}
	known, err := ensureSettings(at.envFile())
	if err != nil {
		return err
	}
	if err := runSetup(ctx, site{folder: at, settings: known}); err != nil {
		return err
	}
	c := newClient(at)
	if err := restartOutdated(ctx, c, known); err != nil {
		return err
	}
	if err := startAll(ctx, c, servicesOf(program)); err != nil {
		return err
	}
	fmt.Printf("Everything is ready (%s). Gateway: http://%s  Temporal UI: http://%s\n",
		time.Since(begun).Round(10*time.Millisecond), gatewayAddr, temporalUIAddr)
	return nil
}

// buildPrograms compiles all of them at once into .local/bin.
func buildPrograms(ctx context.Context, at folder) error {
	if err := at.make(); err != nil {
		return plainDiskError(err, at)
	}
	command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", at.path("bin")+"/",
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

// restartOutdated stops the programs that run from an older binary or with older settings; startAll starts them again.
func restartOutdated(ctx context.Context, c *client, known settings) error {
	now, err := c.overview(ctx, false)
	if err != nil {
		return err
	}
	return forAll(servicesOf(program), func(s service) error {
		r := now.find(s.name)
		current, err := fingerprint(c.at.bin(s.name), known)
		if err != nil {
			return err
		}
		if r.State == stopped || r.Started == current {
			return nil
		}
		return c.order(ctx, "stop", s.name)
	})
}
