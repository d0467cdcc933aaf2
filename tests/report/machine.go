package report

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what figures were measured on.
type Machine struct {
	Cores    int    `json:"cores"`
	CPU      string `json:"cpu"`
	MemoryMB int    `json:"memory_mb"` // 0 where it cannot be told
	OS       string `json:"os"`
}

// ThisMachine reads /proc and /etc; what they do not tell stays general.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: runtime.GOARCH, OS: runtime.GOOS}
	if model := field("/proc/cpuinfo", "model name", ":"); model != "" {
		m.CPU = model
	}
	if kilobytes, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal", ":"), " "); kilobytes != "" {
		if n, err := strconv.Atoi(kilobytes); err == nil {
			m.MemoryMB = n / 1024
		}
	}
	if name := strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`); name != "" {
		m.OS = name
	}
	return m
}

// field is the value of the first line "key SEPARATOR value" of a file.
func field(path, key, separator string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(line, separator)
		if ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
