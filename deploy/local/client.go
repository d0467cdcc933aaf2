package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	socketName = "supervisor.sock"
	// supervisorTimeout is how long a new supervisor may take until it listens.
	supervisorTimeout = 10 * time.Second
	// deathsMax is how often a service may die on its way up before waiting for it is given up.
	deathsMax = 3
	// readyTimeout is how long a service may take until it is ready.
	readyTimeout = 90 * time.Second
	pollInterval = 50 * time.Millisecond
)

// overview is the supervisor's answer about itself and its services.
type overview struct {
	Build    string   `json:"build"`
	PID      int      `json:"pid"`
	Services []report `json:"services"`
}

func (o overview) find(name string) report {
	for _, r := range o.Services {
		if r.Name == name {
			return r
		}
	}
	return report{Name: name, State: stopped}
}

// errNoSupervisor says that nothing runs.
var errNoSupervisor = errors.New("the local stack is not up; `just up` starts it, `just cluster` the cluster")

// client talks to the supervisor of a folder.
type client struct {
	at   folder
	http *http.Client
}

func newClient(at folder) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socketName)
	}
	return &client{at: at, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// overview asks what runs; with probe each running service is asked whether it is ready right now.
func (c *client) overview(ctx context.Context, probe bool) (overview, error) {
	path := "/services"
	if probe {
		path += "?probe"
	}
	var answer overview
	err := c.ask(ctx, http.MethodGet, path, nil, &answer)
	return answer, err
}

// order has the supervisor start, stop or restart a service.
func (c *client) order(ctx context.Context, order, name string) error {
	return c.ask(ctx, http.MethodPost, "/services/"+name+"/"+order, nil, nil)
}

// start has the supervisor start a service with settings set in place of those of .local/env.
func (c *client) start(ctx context.Context, name string, set settings) error {
	return c.ask(ctx, http.MethodPost, "/services/"+name+"/start", set, nil)
}

// ask sends one command, with settings if it has any, and reads its answer, if one is expected.
func (c *client) ask(ctx context.Context, method, path string, set settings, answer any) error {
	if err := os.Chdir(c.at.root); err != nil { // the socket's name is relative
		return errNoSupervisor
	}
	var body io.Reader = http.NoBody
	if len(set) > 0 {
		text, err := json.Marshal(set)
		if err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		var failed *net.OpError
		if errors.As(err, &failed) && failed.Op == "dial" {
			return errNoSupervisor
		}
		return fmt.Errorf("ask the supervisor: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		message, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return errors.New(strings.TrimSpace(string(message)))
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
}

// ensureSupervisor starts the supervisor if none answers: a copy of this program, detached from this terminal.
func (c *client) ensureSupervisor(ctx context.Context) error {
	if _, err := c.overview(ctx, false); err == nil {
		return nil
	}
	log, err := os.OpenFile(c.at.log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", plainDiskError(err, c.at))
	}
	defer log.Close()
	own, err := copyOfSelf(c.at)
	if err != nil {
		return err
	}
	process := exec.Command(own, "supervise") //nolint:noctx // it outlives this command, on purpose
	process.Dir = c.at.repository
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	go func() { _ = process.Wait() }()
	limited, cancel := context.WithTimeout(ctx, supervisorTimeout)
	defer cancel()
	for limited.Err() == nil {
		if _, err := c.overview(limited, false); err == nil {
			return nil
		}
		pause(limited, pollInterval)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the supervisor does not answer: %s; see %s", lastLine(tail(c.at.log("supervisor"), 4<<10)), c.at.log("supervisor"))
}

// copyOfSelf puts this program where nobody removes it: `go run` keeps it in a cache.
func copyOfSelf(at folder) (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	target := at.bin("supervisor")
	if path == target {
		return target, nil
	}
	source, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read own program: %w", err)
	}
	defer source.Close()
	next := fmt.Sprintf("%s.%d", target, os.Getpid())
	defer os.Remove(next) // fails once it has been renamed, as it should
	if err := copyTo(next, source, 0o700); err != nil {
		return "", fmt.Errorf("copy own program: %w", plainDiskError(err, at))
	}
	if err := os.Rename(next, target); err != nil {
		return "", fmt.Errorf("copy own program: %w", err)
	}
	return target, nil
}

// waitReady returns when all the named services are ready, or with one sentence about the first that will not be.
func (c *client) waitReady(ctx context.Context, wanted []service) error {
	limited, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var late report
	for limited.Err() == nil {
		now, err := c.overview(limited, false)
		if err != nil && limited.Err() == nil {
			return err
		}
		late = report{}
		for _, s := range wanted {
			r := now.find(s.name)
			if r.Restarts >= deathsMax && r.State != ready {
				return fmt.Errorf("%s keeps dying (%s): see `just logs %s`", s.name, r.Problem, s.name)
			}
			if r.State != ready {
				late = r
			}
		}
		if late.Name == "" && err == nil {
			return nil
		}
		pause(limited, pollInterval)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%s is not ready after %s (%s): see `just logs %s`", late.Name, readyTimeout, late.Problem, late.Name)
}

// pause waits, but no longer than the context.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
