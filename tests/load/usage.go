package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

const (
	supervisorSocket = "supervisor.sock" // in the stack's folder
	// ticksPerSecond is Linux's USER_HZ, in which /proc counts CPU time.
	ticksPerSecond = 100
	statusRunning  = "ready"
)

// stack is every process of the system by name, this one as generator.
type stack map[string]int

// findStack asks the supervisor of the local stack, whichever the environment
// chooses, what runs under which process id.
func findStack(ctx context.Context) (stack, error) {
	root, err := report.Root()
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(root); err != nil { // a socket's path must be short
		return nil, fmt.Errorf("find supervisor: %w", err)
	}
	folder, err := config.LocalFolder()
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", filepath.Join(folder, supervisorSocket))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://supervisor/services", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask supervisor: %w", err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask supervisor (is the system up? `just run`, or `just cluster`): %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Services []struct {
			Name  string `json:"name"`
			State string `json:"state"`
			PID   int    `json:"pid"`
		} `json:"services"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read the supervisor's answer: %w", err)
	}
	found := stack{generator: os.Getpid()}
	for _, service := range answer.Services {
		if service.State != statusRunning {
			return nil, fmt.Errorf("%s is %s: `just run`, or `just cluster`, starts everything", service.Name, service.State)
		}
		found[service.Name] = service.PID
	}
	return found, nil
}

// usage is what processes used so far. A process that has gone is left out.
type usage map[string]processUsage

type processUsage struct {
	cpu   time.Duration
	rssMB float64
}

// rssMB is the memory of each, in whole megabytes.
func (u usage) rssMB() map[string]float64 {
	all := map[string]float64{}
	for name, used := range u {
		all[name] = math.Round(used.rssMB)
	}
	return all
}

func (s stack) usage() usage {
	all := usage{}
	for name, pid := range s {
		if used, err := readUsage(pid); err == nil {
			all[name] = used
		}
	}
	return all
}

// usageAfter notes what is used after a time. The returned function ends the
// wait; it is false while that time has not come.
func (s stack) usageAfter(wait time.Duration) func() (usage, bool) {
	noted := make(chan usage, 1)
	timer := time.AfterFunc(wait, func() { noted <- s.usage() })
	return func() (usage, bool) {
		timer.Stop()
		select {
		case then := <-noted:
			return then, true
		default:
			return nil, false
		}
	}
}

// cpuPerClick is what each process used between two looks, in microseconds.
func cpuPerClick(before, after usage, clicks int64) map[string]float64 {
	all := map[string]float64{}
	for name, used := range after {
		all[name] = rounded(float64((used.cpu - before[name].cpu).Microseconds()) / float64(clicks))
	}
	return all
}

// readUsage reads /proc/PID/stat (proc(5): field 14 utime, 15 stime, 24 rss in
// pages; the second field may hold anything but ends with the last bracket).
func readUsage(pid int) (processUsage, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return processUsage{}, fmt.Errorf("read usage: %w", err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const first = 3 // number of the field behind the bracket
	if len(fields) <= 24-first {
		return processUsage{}, fmt.Errorf("read usage: %d fields", len(fields))
	}
	var numbers [3]int64
	for i, field := range []int{14, 15, 24} {
		if numbers[i], err = strconv.ParseInt(fields[field-first], 10, 64); err != nil {
			return processUsage{}, fmt.Errorf("read usage: %w", err)
		}
	}
	return processUsage{
		cpu:   time.Duration(numbers[0]+numbers[1]) * (time.Second / ticksPerSecond),
		rssMB: float64(numbers[2]) * float64(os.Getpagesize()) / (1 << 20),
	}, nil
}
