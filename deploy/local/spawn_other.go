//go:build !linux

package main

import "syscall"

// childAttributes cannot tie a child to its parent here: after a killed supervisor the servers must be ended by hand.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// yield has nothing to do here: what should give way runs with the others.
func yield(int) {}
