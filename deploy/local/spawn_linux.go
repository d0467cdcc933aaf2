package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// yield gives a process the scheduling policy SCHED_IDLE (sched(7)): whatever else wakes up takes the processor from it at once. With
// a nice value alone it keeps the processor to the end of its slice, some milliseconds, and the way of one click wakes a thread six
// times. The policy belongs to a thread and passes to those it makes, so a look at all of them that finds nothing to change is the end.
func yield(pid int) {
	for changed := true; changed; {
		changed = false
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // gone: nothing is left to do
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				continue
			}
			now, err := unix.SchedGetAttr(id, 0)
			if err != nil || now.Policy == unix.SCHED_IDLE {
				continue
			}
			if unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0) == nil {
				changed = true
			}
		}
	}
}
