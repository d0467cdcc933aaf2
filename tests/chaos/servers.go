package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"clickledger/internal/config"
)

// supervisorSocket is where the stack's supervisor takes orders, in its folder.
const supervisorSocket = "supervisor.sock"

// supervisor keeps the servers running; see deploy/local.
type supervisor struct{ http *http.Client }

// newSupervisor is that of the stack that the environment chooses. It is found
// from the project's root: a socket's path may only have some hundred characters.
func newSupervisor() (supervisor, error) {
	folder, err := config.LocalFolder()
	if err != nil {
		return supervisor{}, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(folder, supervisorSocket))
	}
	return supervisor{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: time.Minute}}, nil
}

// supervised is what the supervisor tells of a server.
type supervised struct {
	Name  string `json:"name"`
	State string `json:"state"`
	PID   int    `json:"pid"`
}

func (s supervisor) ask(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask the supervisor (is the stack up? `just up`, or `just cluster`): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("ask the supervisor: %w", err)
	case response.StatusCode >= http.StatusBadRequest:
		return errors.New("the supervisor: " + strings.TrimSpace(string(body)))
	case answer == nil:
		return nil
	}
	return json.Unmarshal(body, answer)
}

// services are all that the supervisor knows, programs too, always in the same
// order.
func (s supervisor) services(ctx context.Context) ([]supervised, error) {
	var overview struct {
		Services []supervised `json:"services"`
	}
	err := s.ask(ctx, http.MethodGet, "/services", &overview)
	return overview.Services, err
}

// system is what can be hit of what the supervisor knows.
func (s supervisor) system(ctx context.Context) (system, error) {
	all, err := s.services(ctx)
	if err != nil {
		return system{}, err
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name)
	}
	return newSystem(names)
}

// server is one of the local stack's.
type server struct {
	name string
	by   supervisor
}

func (s server) look(ctx context.Context) (supervised, error) {
	all, err := s.by.services(ctx)
	if err != nil {
		return supervised{}, err
	}
	for _, found := range all {
		if found.Name == s.name {
			return found, nil
		}
	}
	return supervised{}, fmt.Errorf("the supervisor knows no %s", s.name)
}

func (s server) pid(ctx context.Context) (int, error) {
	found, err := s.look(ctx)
	if err == nil && found.PID == 0 {
		err = fmt.Errorf("%s does not run: %s", s.name, found.State)
	}
	return found.PID, err
}

func (s server) restart(ctx context.Context) error {
	return s.by.ask(ctx, http.MethodPost, "/services/"+s.name+"/restart", nil)
}

func (s server) check(ctx context.Context) error {
	found, err := s.look(ctx)
	if err == nil && found.State != "ready" {
		err = fmt.Errorf("%s is %s", s.name, found.State)
	}
	return err
}
