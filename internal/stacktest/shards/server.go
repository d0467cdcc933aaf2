package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	readyTimeout  = 60 * time.Second
	readyInterval = 25 * time.Millisecond
	askTimeout    = 2 * time.Second
)

// server is one ClickHouse server with a folder of its own.
type server struct {
	launcher, library string
	dir               string
	tcp, http         string
	user, password    string

	command *exec.Cmd
	exited  chan struct{}
}

// start runs the server and waits until it answers.
func (s *server) start(ctx context.Context) error {
	// The engine forgets its system tables' definitions at each end and stumbles over their data.
	if err := os.RemoveAll(filepath.Join(s.dir, "data", "data", "system")); err != nil {
		return fmt.Errorf("remove system logs: %w", err)
	}
	output, err := os.OpenFile(filepath.Join(s.dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = output.Close() }()
	command := exec.Command(s.launcher, "--library", s.library, "--config", filepath.Join(s.dir, "config.xml"),
		"--data", filepath.Join(s.dir, "data"), "--tcp", s.tcp, "--http", s.http)
	command.Env = append(os.Environ(), "CLICKLEDGER_CLICKHOUSE_USER="+s.user, "CLICKLEDGER_CLICKHOUSE_PASSWORD="+s.password)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return fmt.Errorf("start clickhouse: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(exited)
	}()
	s.command, s.exited = command, exited
	return s.ready(ctx)
}

func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("clickhouse at %s ended: %s", s.tcp, s.said())
		case <-ctx.Done():
			return fmt.Errorf("wait for clickhouse at %s: %w: %s", s.tcp, err, s.said())
		case <-tick.C:
		}
	}
}

// ask has the server answer a query, over HTTP: the engine minds connections of
// its native protocol that leave at once.
func (s *server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/", strings.NewReader("SELECT 1"))
	if err != nil {
		return err
	}
	request.Header.Set("X-ClickHouse-User", s.user)
	request.Header.Set("X-ClickHouse-Key", s.password)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(string(answer))
	}
	return err
}

// kill ends the server as a power cut would, and waits for its end.
func (s *server) kill() error {
	if s.command == nil {
		return nil
	}
	if err := s.command.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill clickhouse at %s: %w", s.tcp, err)
	}
	<-s.exited
	s.command = nil
	return nil
}

// said is the end of what the server wrote.
func (s *server) said() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "output.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2<<10):])
}
