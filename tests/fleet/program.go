package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"clickledger/tests/poll"
)

const (
	readyTimeout  = 90 * time.Second
	readyInterval = 50 * time.Millisecond
	// stopTimeout is how long an ordered stop may take.
	stopTimeout = 45 * time.Second
)

var errNotRunning = errors.New("not running")

// Program is one of the three long-running programs. It is not safe for
// concurrent use.
type Program struct {
	Name string

	path    string
	env     []string
	ops     string // host:port of its operations port
	logPath string

	command *exec.Cmd
	exited  chan error
}

// NewProgram is a program at path that keeps its log at logPath, answers /readyz
// at host:port ops, and is told variables, by their full names.
func NewProgram(name, path, ops, logPath string, variables map[string]string) *Program {
	return &Program{Name: name, path: path, ops: ops, logPath: logPath, env: environment(variables)}
}

// Start runs the program; Ready waits for it.
func (p *Program) Start() error {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", p.Name, err)
	}
	defer func() { _ = log.Close() }()
	p.command = exec.Command(p.path)
	p.command.Env, p.command.Stdout, p.command.Stderr = p.env, log, log
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.exited = make(chan error, 1)
	go func(command *exec.Cmd, exited chan<- error) { exited <- command.Wait() }(p.command, p.exited)
	return nil
}

// Ready waits until /readyz answers 200; it fails at once if the program ends.
func (p *Program) Ready(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := poll.Until(ctx, readyTimeout, readyInterval, func(ctx context.Context) error {
		select {
		case err := <-p.exited:
			p.exited <- err
			cancel(err)
			return fmt.Errorf("it ended (%v):\n%s", err, p.logTail(logTailBytes)) //nolint:errorlint // nil when it ended well
		default:
			return p.Probe(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", p.Name, err)
	}
	return nil
}

// Probe asks /readyz once; the error says why it is not ready. It may be called
// beside anything else.
func (p *Program) Probe(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.ops+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", body)
	}
	return nil
}

// PID is the running process's.
func (p *Program) PID() int { return p.command.Process.Pid }

// Wait returns when the process has ended, however it did.
func (p *Program) Wait() error { return <-p.exited }

// Stop asks the program to end, as an operator would, and waits. It is an
// error if it had ended before, ends with a failure, or has to be killed.
func (p *Program) Stop() error {
	if p.command == nil {
		return errNotRunning
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("signal: %w", errors.Join(err, p.wait()))
	}
	return p.wait()
}

// Kill ends the program as a crash would.
func (p *Program) Kill() error {
	if p.command == nil {
		return errNotRunning
	}
	if err := p.command.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	_ = p.wait() // it was killed: that is its error
	return nil
}

func (p *Program) wait() error {
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	command := p.command
	p.command = nil
	select {
	case err := <-p.exited:
		return err
	case <-timer.C:
		_ = command.Process.Kill()
		return fmt.Errorf("still running after %v", stopTimeout)
	}
}

// logTail is the last of what it said, but for calls that went well.
func (p *Program) logTail(bytesMax int) string {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	var kept []byte
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte(`"msg":"call"`)) || !bytes.Contains(line, []byte(`"code":"ok"`)) {
			kept = append(kept, line...)
		}
	}
	return string(kept[max(0, len(kept)-bytesMax):])
}
