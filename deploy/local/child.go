package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// How often and how patiently a service that died is started again.
const (
	backoffFirst = 250 * time.Millisecond
	backoffMax   = 10 * time.Second
	// steadyAfter is how long a process must have lived for the backoff to begin anew.
	steadyAfter = 30 * time.Second

	probeInterval = 100 * time.Millisecond
	probeTimeout  = 3 * time.Second
)

// child keeps one service running from start to stop.
type child struct {
	service service
	at      folder
	spawn   spawner
	log     *slog.Logger

	orders sync.Mutex // start and stop one after the other
	set    settings   // of the last start order: they hold until it is stopped
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	report report
}

func newChild(s service, at folder, spawn spawner, log *slog.Logger) *child {
	return &child{
		service: s, at: at, spawn: spawn, log: log.With("service", s.name),
		report: report{Name: s.name, State: stopped, Since: time.Now()},
	}
}

// start has the service kept running, with the settings set in place of those of .local/env; it does nothing if it is already.
func (c *child) start(set settings) {
	c.orders.Lock()
	defer c.orders.Unlock()
	if c.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.set, c.cancel, c.done = set, cancel, make(chan struct{})
	c.update(func(r *report) { *r = report{Name: r.Name, State: starting, Since: time.Now(), Set: set} })
	go func() {
		defer close(c.done)
		c.keepRunning(ctx)
	}()
}

// stop returns when the process is gone.
func (c *child) stop() {
	c.orders.Lock()
	defer c.orders.Unlock()
	if c.done == nil {
		return
	}
	c.cancel()
	<-c.done
	c.done = nil
}

func (c *child) keepRunning(ctx context.Context) {
	delay := backoffFirst
	for {
		begun := time.Now()
		err := c.runOnce(ctx)
		if ctx.Err() != nil {
			c.log.Info("stopped")
			c.update(func(r *report) { *r = report{Name: r.Name, State: stopped, Since: time.Now()} })
			return
		}
		if time.Since(begun) > steadyAfter {
			delay = backoffFirst
		}
		c.log.Warn("died, is started again", "error", err, "delay", delay)
		c.update(func(r *report) {
			r.State, r.PID, r.Since, r.Problem, r.LastDeath = waiting, 0, time.Now(), err.Error(), time.Now()
		})
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, backoffMax)
		c.update(func(r *report) { r.State, r.Since, r.Restarts = starting, time.Now(), r.Restarts+1 })
	}
}

// runOnce prepares and runs the process until it ends or the context does. It returns why it ended by itself.
func (c *child) runOnce(ctx context.Context) error {
	known, err := ensureSettings(c.at)
	if err != nil {
		return err
	}
	at := site{folder: c.at, settings: known.with(c.set)}
	if err := os.MkdirAll(c.at.data(c.service.name), 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", plainDiskError(err, c.at))
	}
	if c.service.prepare != nil {
		if err := c.service.prepare(ctx, at); err != nil {
			return fmt.Errorf("prepare: %w", plainDiskError(err, c.at))
		}
	}
	command, closeLog, err := c.command(at)
	if err != nil {
		return err
	}
	defer closeLog()
	print, err := fingerprint(command.Path, at.settings)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := c.spawn.start(command, c.service.yields); err != nil {
		return err
	}
	c.log.Info("started", "pid", command.Process.Pid)
	c.update(func(r *report) { r.PID, r.Since, r.Started = command.Process.Pid, time.Now(), print })
	return c.wait(ctx, at, command)
}

// wait watches a running process until it is gone.
func (c *child) wait(ctx context.Context, at site, command *exec.Cmd) error {
	ended := make(chan exit, 1)
	go func() { ended <- exit{command.Wait()} }()
	probing, endProbing := context.WithCancel(ctx)
	defer endProbing()
	go c.probeUntilReady(probing, at)
	select {
	case how := <-ended:
		signalGroup(command, syscall.SIGKILL) // whatever it left behind
		return endOf(c.at.log(c.service.name), how.err)
	case <-ctx.Done():
		c.update(func(r *report) { r.State = stopping })
		c.terminate(command, ended)
		return ctx.Err()
	}
}

// terminate asks a process to end, and ends it when it takes too long.
func (c *child) terminate(command *exec.Cmd, ended <-chan exit) {
	_ = command.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(c.service.stopTimeout):
		c.log.Warn("does not stop, is killed", "timeout", c.service.stopTimeout)
		signalGroup(command, syscall.SIGKILL)
		<-ended
	}
	signalGroup(command, syscall.SIGKILL)
}

func (c *child) probeUntilReady(ctx context.Context, at site) {
	for ctx.Err() == nil && !c.probe(ctx, at) {
		select {
		case <-ctx.Done():
		case <-time.After(probeInterval):
		}
	}
}

// probe asks the service whether it is ready and remembers the answer, unless the process went meanwhile.
func (c *child) probe(ctx context.Context, at site) bool {
	before := c.snapshot()
	if before.PID == 0 {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := c.service.ready(limited, site{folder: at.folder, settings: at.settings.with(before.Set)})
	c.update(func(r *report) {
		switch {
		case r.PID != before.PID || r.State == stopping:
		case err == nil:
			if r.State != ready {
				c.log.Info("ready", "after", time.Since(r.Since).Round(time.Millisecond))
			}
			r.State, r.Problem = ready, ""
		default:
			r.State, r.Problem = starting, err.Error()
		}
	})
	return err == nil
}

func (c *child) update(change func(*report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

func (c *child) snapshot() report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}
