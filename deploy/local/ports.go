package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// checkPorts refuses to start services whose addresses somebody else holds.
func checkPorts(ctx context.Context, wanted []service) error {
	var config net.ListenConfig
	for _, s := range wanted {
		for _, addr := range s.addrs {
			listener, err := config.Listen(ctx, "tcp", addr)
			if err == nil {
				_ = listener.Close()
				continue
			}
			if !errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%s cannot listen on %s: %w", s.name, addr, err)
			}
			_, port, _ := net.SplitHostPort(addr)
			return fmt.Errorf("port %s, which %s needs, is in use%s: stop what uses it, then run this again", port, s.name, portHolder(port))
		}
	}
	return nil
}

// portHolder names the process that listens on a port, as " by java (pid 4711)"; empty where the system does not tell.
func portHolder(port string) string {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, inode := range listenerInodes(string(content), uint16(number)) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		process := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + process + "/comm")
		return fmt.Sprintf(" by %s (pid %s)", strings.TrimSpace(string(name)), process)
	}
	return ""
}

// listenerInodes finds the sockets that listen on a port in the text of /proc/net/tcp: local address in field 2 as hex "ADDR:PORT",
// state in field 4 (0A is LISTEN), inode in field 10.
func listenerInodes(table string, port uint16) []string {
	var inodes []string
	suffix := fmt.Sprintf(":%04X", port)
	for scanner := bufio.NewScanner(strings.NewReader(table)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], suffix) {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}
