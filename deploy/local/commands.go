package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"clickledger/internal/config"
)

// downTimeout is how long the supervisor may take to stop everything: each service has a deadline of its own below it.
const downTimeout = 90 * time.Second

type upCommand struct{}

// Run brings the servers up and says where they are.
func (upCommand) Run(ctx context.Context, at folder) error {
	begun := time.Now()
	if err := up(ctx, at); err != nil {
		return err
	}
	fmt.Printf("The servers are ready (%s). Temporal UI: http://%s  MinIO console: http://%s\n",
		time.Since(begun).Round(10*time.Millisecond), temporalUIAddr, minioConsoleAddr)
	return nil
}

// up installs what is missing and returns when all servers are ready.
func up(ctx context.Context, at folder) error {
	if err := at.make(); err != nil {
		return plainDiskError(err, at)
	}
	if _, err := ensureSettings(at); err != nil {
		return plainDiskError(err, at)
	}
	if err := checkTools(ctx, []string{"go", "java"}); err != nil {
		return err
	}
	wanted := at.stack.servicesOf(server)
	return startAll(ctx, newClient(at), wanted, nil)
}

// startAll starts those of the services that do not run, with the settings set in place of .local/env's, and waits until all are ready.
func startAll(ctx context.Context, c *client, wanted []service, set settings) error {
	now, err := c.overview(ctx, true)
	if err != nil && !errors.Is(err, errNoSupervisor) {
		return err
	}
	noteOtherBuild(now)
	var idle []service
	for _, s := range wanted {
		if now.find(s.name).State == stopped {
			idle = append(idle, s)
		}
	}
	if err := refuseBeside(ctx, c.at); err != nil {
		return err
	}
	if err := checkPorts(ctx, idle); err != nil {
		return err
	}
	if err := installMissing(ctx, c.at, idle); err != nil {
		return err
	}
	if err := c.ensureSupervisor(ctx); err != nil {
		return err
	}
	for _, s := range idle {
		if err := c.start(ctx, s.name, set); err != nil {
			return err
		}
	}
	return c.waitReady(ctx, wanted)
}

// noteOtherBuild tells that a supervisor of older code goes on: it is not replaced under running servers.
func noteOtherBuild(now overview) {
	if build, err := ownBuild(); err == nil && now.Build != "" && now.Build != build {
		fmt.Fprintln(os.Stderr, "note: the supervisor was started by another build of this program; `just down` and `just up` renew it")
	}
}

type envCommand struct{}

// Run makes the settings, for those who start the servers by other means.
func (envCommand) Run(at folder) error {
	if err := at.make(); err != nil {
		return plainDiskError(err, at)
	}
	_, err := ensureSettings(at)
	return plainDiskError(err, at)
}

// refuseBeside refuses to start a stack while another one has the ports.
func refuseBeside(ctx context.Context, at folder) error {
	for _, other := range []stack{singleStack(), clusterStack()} {
		if other.name == at.stack.name {
			continue
		}
		if _, err := newClient(at.of(other)).overview(ctx, false); err == nil {
			return fmt.Errorf("the stack %s runs, on the same ports: `just down` stops it, its data stays", other.name)
		}
	}
	return nil
}

type downCommand struct{}

// Run stops whichever stack runs.
func (downCommand) Run(ctx context.Context, at folder) error {
	ran := false
	for _, s := range []stack{singleStack(), clusterStack()} {
		err := down(ctx, at.of(s))
		if errors.Is(err, errNoSupervisor) {
			continue
		}
		if err != nil {
			return err
		}
		ran = true
	}
	if !ran {
		fmt.Println("Nothing runs.")
	}
	return nil
}

// down stops everything of a stack, the supervisor last.
func down(ctx context.Context, at folder) error {
	c := newClient(at)
	limited, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	if err := c.ask(limited, http.MethodPost, "/down", nil, nil); err != nil {
		return err
	}
	for limited.Err() == nil { // its lock is free when its process is gone
		unlock, err := lockFile(at.path("supervisor.lock"), false)
		if err == nil {
			unlock()
			fmt.Printf("Everything is stopped; the data is in %s/data.\n", config.StackFolder(at.stack.name))
			return nil
		}
		pause(limited, pollInterval)
	}
	return fmt.Errorf("the supervisor does not end: see %s", at.log("supervisor"))
}

type stopCommand struct {
	Names []string `arg:"" help:"Which ones, or all."`
}

// Run stops services in parallel and returns when they are gone.
func (c *stopCommand) Run(ctx context.Context, at folder) error {
	wanted, err := pick(at, c.Names)
	if err != nil {
		return err
	}
	client := newClient(at)
	return forAll(wanted, func(s service) error { return client.order(ctx, "stop", s.name) })
}

type startCommand struct {
	Names []string `arg:"" help:"Which ones, or all."`
}

// Run starts services and returns when they are ready.
func (c *startCommand) Run(ctx context.Context, at folder) error {
	wanted, err := pick(at, c.Names)
	if err != nil {
		return err
	}
	client := newClient(at)
	if _, err := client.overview(ctx, false); err != nil {
		return err
	}
	return startAll(ctx, client, wanted, nil)
}

type restartCommand struct {
	Names []string `arg:"" help:"Which ones, or all."`
}

// Run stops services, starts them and returns when they are ready.
func (c *restartCommand) Run(ctx context.Context, at folder) error {
	wanted, err := pick(at, c.Names)
	if err != nil {
		return err
	}
	client := newClient(at)
	if err := forAll(wanted, func(s service) error { return client.order(ctx, "restart", s.name) }); err != nil {
		return err
	}
	return client.waitReady(ctx, wanted)
}

// pick finds services by name; `all` is all of them.
func pick(at folder, names []string) ([]service, error) {
	var wanted []service
	for _, name := range names {
		if name == "all" {
			return at.stack.services(), nil
		}
		s, ok := at.stack.find(name)
		if !ok {
			return nil, unknownService(at, name)
		}
		wanted = append(wanted, s)
	}
	return wanted, nil
}

func unknownService(at folder, name string) error {
	return fmt.Errorf("there is no %q; there are %s", name, strings.Join(at.stack.names(), ", "))
}

func forAll(wanted []service, do func(service) error) error {
	var group errgroup.Group
	for _, s := range wanted {
		group.Go(func() error { return do(s) })
	}
	return group.Wait()
}
