package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"clickledger/internal/turn"
)

// spawner starts processes that die with this one, even when it is killed: where the system can tie a child to its parent it ties it
// to the parent's thread, so one thread, which lives as long as the supervisor, starts them all.
type spawner chan func()

func newSpawner() spawner {
	s := make(spawner)
	go func() {
		runtime.LockOSThread()
		for start := range s {
			start()
		}
	}()
	return s
}

// start starts the command as the head of a session of its own. One that yields, and whatever it starts, gives way to the others. One
// that does not is given a processor at once when it wakes up.
func (s spawner) start(command *exec.Cmd, yields bool) error {
	command.SysProcAttr = childAttributes()
	started := make(chan error)
	s <- func() {
		if !yields {
			turn.Take(turn.Prompt)
			defer turn.Take(turn.Usual)
		}
		started <- command.Start()
	}
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", command.Args[0], err)
	}
	if yields {
		go turn.Yield(command.Process.Pid) // may take a moment, for which nobody needs to wait
	}
	return nil
}

// signalGroup reaches a process and what it started.
func signalGroup(command *exec.Cmd, signal syscall.Signal) {
	_ = syscall.Kill(-command.Process.Pid, signal) // gone already is as good
}
