package main

import "syscall"

func mount(folder string) error {
	return syscall.Mount("tmpfs", folder, "tmpfs", 0, spoolOptions)
}

func unmount(folder string) error { return syscall.Unmount(folder, syscall.MNT_DETACH) }
