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
	if _, err := ensureSettings(at.envFile()); err != nil {
		return plainDiskError(err, at)
	}
	if err := checkTools(ctx, []string{"go", "java"}); err != nil {
		return err
	}
	wanted := servicesOf(server)
	return startAll(ctx, newClient(at), wanted)
}

// startAll starts those of the services that do not run, and waits until all are ready.
func startAll(ctx context.Context, c *client, wanted []service) error {
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
		if err := c.order(ctx, "start", s.name); err != nil {
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
	_, err := ensureSettings(at.envFile())
	return plainDiskError(err, at)
}

type downCommand struct{}

// Run stops everything, the supervisor last.
func (downCommand) Run(ctx context.Context, at folder) error {
	c := newClient(at)
	limited, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	err := c.ask(limited, http.MethodPost, "/down", nil)
	if errors.Is(err, errNoSupervisor) {
		fmt.Println("Nothing runs.")
		return nil
	}
	if err != nil {
		return err
	}
	for limited.Err() == nil { // its lock is free when its process is gone
		unlock, err := lockFile(at.path("supervisor.lock"), false)
		if err == nil {
			unlock()
			fmt.Println("Everything is stopped; the data is in .local/data.")
			return nil
		}
		pause(limited, pollInterval)
	}
	return errors.New("the supervisor does not end: see .local/logs/supervisor.log")
}

type stopCommand struct {
	Names []string `arg:"" help:"Which ones, or all."`
}

// Run stops services in parallel and returns when they are gone.
func (c *stopCommand) Run(ctx context.Context, at folder) error {
	wanted, err := pick(c.Names)
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
	wanted, err := pick(c.Names)
	if err != nil {
		return err
	}
	client := newClient(at)
	if _, err := client.overview(ctx, false); err != nil {
		return err
	}
	return startAll(ctx, client, wanted)
}

type restartCommand struct {
	Names []string `arg:"" help:"Which ones, or all."`
}

// Run stops services, starts them and returns when they are ready.
func (c *restartCommand) Run(ctx context.Context, at folder) error {
	wanted, err := pick(c.Names)
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
func pick(names []string) ([]service, error) {
	var wanted []service
	for _, name := range names {
		if name == "all" {
			return services(), nil
		}
		s, ok := findService(name)
		if !ok {
			return nil, unknownService(name)
		}
		wanted = append(wanted, s)
	}
	return wanted, nil
}

func unknownService(name string) error {
	return fmt.Errorf("there is no %q; there are %s", name, strings.Join(serviceNames(), ", "))
}

func forAll(wanted []service, do func(service) error) error {
	var group errgroup.Group
	for _, s := range wanted {
		group.Go(func() error { return do(s) })
	}
	return group.Wait()
}
