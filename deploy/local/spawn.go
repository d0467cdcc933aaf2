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

// niceness of what gives way: a sixtieth of the processor time of what does not, when both want it (sched(7), the nice value). Not
// SCHED_IDLE: on a machine that is busy with other things too, ClickHouse then got nothing for seconds, and with it who asked it.
const niceness = 19

// start starts the command as the head of a process group of its own. One that yields has the priority of its group lowered: that of
// the process would only be its first thread's, and it may have made others by now. Those it makes later have the same. One that does
// not yield, and whatever it starts, is given a processor at once when it wakes up.
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
		_ = syscall.Setpriority(syscall.PRIO_PGRP, command.Process.Pid, niceness) // without it, it only runs with the others
	}
	return nil
}

// signalGroup reaches a process and what it started.
func signalGroup(command *exec.Cmd, signal syscall.Signal) {
	_ = syscall.Kill(-command.Process.Pid, signal) // gone already is as good
}
