package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"clickledger/tests/poll"
)

const lookInterval = 200 * time.Millisecond

// process is something that is kept running and can be hit by signals.
type process interface {
	// pid is the running process's; an error while there is none.
	pid(ctx context.Context) (int, error)
	// restart stops it in order and has it started again.
	restart(ctx context.Context) error
	// check is nil when it is ready.
	check(ctx context.Context) error
}

// sendSignal hits a process and returns which one it was.
func sendSignal(ctx context.Context, p process, s syscall.Signal) (pid int, err error) {
	// Where one was just killed, the next is on its way.
	err = poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) (err error) {
		pid, err = p.pid(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(pid, s); err != nil {
		return 0, fmt.Errorf("send %s to process %d: %w", s, pid, err)
	}
	return pid, nil
}
