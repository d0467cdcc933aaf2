package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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

	logSizeMax = 64 << 20 // a longer log is set aside at the next start
)

// state is what a service is doing.
type state string

const (
	stopped  state = "stopped"
	starting state = "starting" // the process runs or is about to, but is not ready
	ready    state = "ready"
	waiting  state = "waiting" // died, to be started again in a moment
	stopping state = "stopping"
)

// report is what the supervisor knows about a service.
type report struct {
	Name      string    `json:"name"`
	State     state     `json:"state"`
	PID       int       `json:"pid,omitempty"`
	Since     time.Time `json:"since"`               // of the state; of the process's start once it runs
	Restarts  int       `json:"restarts"`            // by the supervisor, since it was last told to start
	Problem   string    `json:"problem,omitempty"`   // why it is not ready, or died last
	Started   string    `json:"started,omitempty"`   // fingerprint of the program and settings that run
	LastDeath time.Time `json:"last_death,omitzero"` // when it last died by itself
}

// child keeps one service running from start to stop.
type child struct {
	service service
	at      folder
	spawn   spawner
	log     *slog.Logger

	orders sync.Mutex // start and stop one after the other
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

// start has the service kept running; it does nothing if it is already.
func (c *child) start() {
	c.orders.Lock()
	defer c.orders.Unlock()
	if c.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.done = cancel, make(chan struct{})
	c.update(func(r *report) { *r = report{Name: r.Name, State: starting, Since: time.Now()} })
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
	known, err := ensureSettings(c.at.envFile())
	if err != nil {
		return err
	}
	at := site{folder: c.at, settings: known}
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
	print, err := fingerprint(command.Path, known)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := c.spawn.start(command); err != nil {
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

// exit is how a process ended: nil for an exit code of 0.
type exit struct{ err error }

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
	err := c.service.ready(limited, at)
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

// command is the process to start, its output in the service's log.
func (c *child) command(at site) (*exec.Cmd, func(), error) {
	path := c.at.log(c.service.name)
	if info, err := os.Stat(path); err == nil && info.Size() > logSizeMax {
		_ = os.Rename(path, path+".1")
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", plainDiskError(err, c.at))
	}
	words := c.service.command(at)
	command := exec.Command(words[0], words[1:]...) //nolint:noctx // it is asked to end before it is killed
	command.Dir = c.at.data(c.service.name)
	command.Stdout, command.Stderr = log, log
	command.Env = at.settings.environment()
	if c.service.environment != nil {
		command.Env = append(command.Env, c.service.environment(at)...)
	}
	return command, func() { _ = log.Close() }, nil
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

// endOf says how a process ended, with the last line it wrote.
func endOf(log string, err error) error {
	how := "ended by itself"
	if err != nil {
		how = err.Error()
	}
	if line := lastLine(tail(log, 4<<10)); line != "" {
		return errors.New(how + ": " + line)
	}
	return errors.New(how + " without a word in " + filepath.Base(log))
}
