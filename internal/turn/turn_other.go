//go:build !linux

package turn

import (
	"syscall"
	"time"
)

// Take does nothing here.
func Take(time.Duration) {}

// Yield makes a process give way, with all of its group, which it must lead.
func Yield(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, niceness) }
