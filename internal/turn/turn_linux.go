package turn

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Whoever has no rights may set the niceness of one session each tenth of a second.
const (
	autogroupPause = 110 * time.Millisecond
	autogroupTries = 20
)

// Take sets how long a turn on a processor the calling thread asks for, and with it what it starts later: Prompt or Usual. Lock the
// goroutine to its thread. A system that knows turns of one length only (before Linux 6.12) leaves them so.
//
// Niceness says how much of a processor a thread gets, not how soon: one that wakes up waits until the turn of the running one ends,
// 1.4 to 4 ms, even of one with niceness 19. The answer to a click is six such wake-ups. One that asks for a shorter turn than the
// running one has is not kept waiting (sched_setattr(2), sched_runtime; EEVDF in the kernel's documentation).
func Take(length time.Duration) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return
	}
	own.Runtime = uint64(length)
	_ = unix.SchedSetAttr(0, own, 0) // without it, the thread only runs with the others
}

// Yield makes a process give way, with all of its session, which it must lead.
//
// Linux shares out the processors among sessions first, among the processes of one only then (sched(7), the autogroup feature). In one
// session with what yields, whatever else is in it pays for what that used: Kafka waited up to 35 ms for a processor because ClickHouse,
// of niceness 19, had used more than the half that was their session's.
func Yield(pid int) {
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, niceness) // not of the process: that would only be its first thread's, and it may have made others by now
	path := fmt.Sprintf("/proc/%d/autogroup", pid)
	for range autogroupTries {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return // a system without: niceness is all there is
		}
		_, err = fmt.Fprint(file, niceness)
		_ = file.Close()
		if !errors.Is(err, unix.EAGAIN) {
			return
		}
		time.Sleep(autogroupPause)
	}
}
