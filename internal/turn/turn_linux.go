package turn

import (
	"time"

	"golang.org/x/sys/unix"
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
