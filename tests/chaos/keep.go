package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"clickledger/tests/fleet"
	"clickledger/tests/poll"
)

const (
	// restartPause is between a program's end and its next start, as with any
	// supervisor.
	restartPause = 250 * time.Millisecond
	stopTimeout  = 45 * time.Second
)

// keeper keeps one program running until stop, as a supervisor does.
type keeper struct {
	program *fleet.Program

	mu       sync.Mutex
	running  int  // process id; 0 while there is none
	asked    bool // the running one was told to end, or was killed
	leaving  bool
	byItself []error // ends nobody asked for
	down     func()  // is done once, after the running one's end and before the next start
	done     chan struct{}
}

func keep(p *fleet.Program) *keeper {
	k := &keeper{program: p, done: make(chan struct{})}
	go k.run()
	return k
}

func (k *keeper) run() {
	defer close(k.done)
	for k.startOnce() {
		err := k.program.Wait()
		k.mu.Lock()
		if !k.asked {
			k.byItself = append(k.byItself, fmt.Errorf("%s ended by itself at %s: %w", k.program.Name, time.Now().UTC().Format(time.TimeOnly), errors.Join(err, errEnded)))
		}
		k.running, k.asked = 0, false
		down := k.down
		k.down = nil
		k.mu.Unlock()
		if down != nil {
			down()
		}
		poll.Pause(context.Background(), restartPause)
	}
}

var errEnded = errors.New("nobody asked for it")

// startOnce starts the program, unless it is not to run any more.
func (k *keeper) startOnce() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.leaving {
		return false
	}
	if err := k.program.Start(); err != nil {
		k.byItself = append(k.byItself, err)
		return false
	}
	k.running = k.program.PID()
	return true
}

func (k *keeper) pid(context.Context) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running == 0 {
		return 0, fmt.Errorf("%s does not run", k.program.Name)
	}
	return k.running, nil
}

// expect tells that the running process is about to be ended on purpose.
func (k *keeper) expect() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = true
}

func (k *keeper) restart(ctx context.Context) error {
	k.expect()
	pid, err := sendSignal(ctx, k, syscall.SIGTERM)
	if err != nil {
		return err
	}
	err = poll.Until(ctx, stopTimeout, lookInterval, func(ctx context.Context) error {
		if now, err := k.pid(ctx); err == nil && now == pid {
			return fmt.Errorf("%s does not end after a SIGTERM", k.program.Name)
		}
		return nil
	})
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return err
}

// restartWith is restart, with something done while the program is down.
func (k *keeper) restartWith(ctx context.Context, down func() error) error {
	done := make(chan error, 1)
	k.mu.Lock()
	k.down = func() { done <- down() }
	k.mu.Unlock()
	if err := k.restart(ctx); err != nil {
		return err
	}
	return <-done
}

func (k *keeper) check(ctx context.Context) error { return k.program.Probe(ctx) }

// stop ends the program for good.
func (k *keeper) stop() {
	k.mu.Lock()
	k.leaving, k.asked = true, true
	pid := k.running
	k.mu.Unlock()
	if pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-k.done:
	case <-timer.C:
		_ = syscall.Kill(pid, syscall.SIGKILL)
		<-k.done
	}
}

func (k *keeper) endsByItself() []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byItself
}
