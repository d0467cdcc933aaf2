//go:build !linux

package turn

import (
	"syscall"
	"time"
)

// Take does nothing here.
func Take(time.Duration) {}

// Yield makes a process give way that leads a group of its own, with all that it starts.
func Yield(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, niceness) }
