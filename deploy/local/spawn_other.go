//go:build !linux

package main

import "syscall"

// childAttributes cannot tie a child to its parent here: after a killed supervisor the servers must be ended by hand.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
