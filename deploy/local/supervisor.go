package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type superviseCommand struct{}

// supervisor keeps the services of one folder running.
type supervisor struct {
	at       folder
	log      *slog.Logger
	build    string
	children map[string]*child
	leave    chan struct{}
	leaving  sync.Once
}

// Run is the supervisor's life: one per folder, until it is told to go down.
func (superviseCommand) Run(at folder) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	unlock, err := lockFile(at.path("supervisor.lock"), false)
	if errors.Is(err, errLocked) {
		return nil // another `up` was quicker; its supervisor serves this one too
	}
	if err != nil {
		return err
	}
	defer unlock()
	listener, err := listen(at)
	if err != nil {
		return err
	}
	build, err := ownBuild()
	if err != nil {
		return err
	}
	s := &supervisor{at: at, log: log, build: build, children: map[string]*child{}, leave: make(chan struct{})}
	spawn := newSpawner()
	for _, service := range at.stack.services() {
		s.children[service.name] = newChild(service, at, spawn, log)
	}
	log.Info("supervisor is up", "pid", os.Getpid())
	return s.serve(listener)
}

// listen takes the socket, which a killed supervisor may have left behind. Its name is relative because a socket's path may only have
// some hundred characters; the working folder is .local.
func listen(at folder) (net.Listener, error) {
	if err := os.Chdir(at.root); err != nil {
		return nil, fmt.Errorf("change folder: %w", err)
	}
	if err := os.Remove(socketName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "unix", socketName)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	return listener, nil
}

func (s *supervisor) serve(listener net.Listener) error {
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-signals:
		s.down()
	case <-s.leave:
	case err := <-failed:
		s.down()
		return fmt.Errorf("serve commands: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.log.Info("supervisor is down")
	return server.Shutdown(ctx)
}

func (s *supervisor) routes() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /services", s.answerServices)
	routes.HandleFunc("POST /services/{name}/{order}", s.answerOrder)
	routes.HandleFunc("POST /down", func(w http.ResponseWriter, _ *http.Request) {
		s.down()
		w.WriteHeader(http.StatusNoContent)
		s.leaving.Do(func() { close(s.leave) })
	})
	return routes
}

// answerServices lists the services; with ?probe each running one is asked anew whether it is ready.
func (s *supervisor) answerServices(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("probe") {
		s.probe(r.Context())
	}
	answer := overview{Build: s.build, PID: os.Getpid()}
	for _, service := range s.at.stack.services() {
		answer.Services = append(answer.Services, s.children[service.name].snapshot())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a caller that left needs no answer
}

func (s *supervisor) probe(ctx context.Context) {
	known, err := ensureSettings(s.at)
	if err != nil {
		s.log.Error("cannot read settings", "error", err)
		return
	}
	var all sync.WaitGroup
	for _, c := range s.children {
		all.Go(func() { c.probe(ctx, site{folder: s.at, settings: known}) })
	}
	all.Wait()
}

// answerOrder starts, stops or restarts one service. A start does not wait until it is ready, a stop waits until it is gone. The body
// of a start may have settings in place of those of .local/env.
func (s *supervisor) answerOrder(w http.ResponseWriter, r *http.Request) {
	c, ok := s.children[r.PathValue("name")]
	if !ok {
		http.Error(w, unknownService(s.at, r.PathValue("name")).Error(), http.StatusNotFound)
		return
	}
	var set settings
	if err := json.NewDecoder(r.Body).Decode(&set); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "the settings are not JSON: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.log.Info("order", "order", r.PathValue("order"), "service", c.service.name)
	switch r.PathValue("order") {
	case "start":
		c.start(set)
	case "stop":
		c.stop()
	case "restart":
		c.stop()
		c.start(nil)
	default:
		http.Error(w, "no such order", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// down stops the programs, then the servers they need.
func (s *supervisor) down() {
	for _, g := range []group{program, server} {
		var all sync.WaitGroup
		for _, service := range s.at.stack.servicesOf(g) {
			all.Go(s.children[service.name].stop)
		}
		all.Wait()
	}
}

// ownBuild stands for the code of this process.
func ownBuild() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	return fingerprint(path, nil)
}
