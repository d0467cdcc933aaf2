package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const javaVersionMin = 17

// howToGet says, tool by tool, where a missing one comes from.
func howToGet(tool string) string {
	switch tool {
	case "java":
		return "install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless) and run this again"
	case "mvn":
		return "install Apache Maven (Debian: apt-get install maven) and run this again"
	case "npm":
		return "install Node.js with npm (https://nodejs.org) and run this again"
	case "go":
		return "install Go (https://go.dev/dl) and run this again"
	default:
		return "install it and run this again"
	}
}

// checkTools refuses to begin without the tools that will be needed.
func checkTools(ctx context.Context, tools []string) error {
	slices.Sort(tools)
	for _, tool := range slices.Compact(tools) {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not on the PATH: %s", tool, howToGet(tool))
		}
		if tool == "java" {
			if err := checkJava(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkJava(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("java does not run (%s): %s", lastLine(string(output)), howToGet("java"))
	}
	version, ok := javaMajor(string(output))
	if !ok || version < javaVersionMin {
		return fmt.Errorf("java on the PATH is too old (%s): %s", firstLine(string(output)), howToGet("java"))
	}
	return nil
}

// javaMajor reads the major version out of what `java -version` prints: 17 of "17.0.15", 8 of "1.8.0_392".
func javaMajor(output string) (int, bool) {
	match := regexp.MustCompile(`version "(?:1\.)?(\d+)`).FindStringSubmatch(output)
	if match == nil {
		return 0, false
	}
	major, err := strconv.Atoi(match[1])
	return major, err == nil
}

// runTool runs a tool quietly in a folder and ends it with everything it started when the context ends. An error carries the line of
// its output that says most.
func runTool(ctx context.Context, folder string, environment []string, command ...string) (string, error) {
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Dir = folder
	process.Env = append(os.Environ(), environment...)
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.Cancel = func() error { return syscall.Kill(-process.Process.Pid, syscall.SIGKILL) }
	process.WaitDelay = 5 * time.Second
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, &output
	err := process.Run()
	switch {
	case err == nil:
		return output.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s is not on the PATH: %s", command[0], howToGet(command[0]))
	default:
		return output.String(), fmt.Errorf("%s failed: %s", command[0], tellingLine(output.String()))
	}
}

// tellingLine picks the line of a tool's output that says why it failed.
func tellingLine(output string) string {
	for line := range strings.Lines(output) {
		lower := strings.ToLower(line)
		for _, word := range []string{"no space left", "enospc", "npm error", "[error]", "e: ", "error:", "lookup ", "denied", "cannot"} {
			if strings.Contains(lower, word) {
				return shortened(strings.TrimSpace(line))
			}
		}
	}
	return shortened(lastLine(output))
}

const toolLineMax = 400 // characters of a tool's own words inside a sentence of ours

func shortened(line string) string {
	if len(line) > toolLineMax {
		return strings.ToValidUTF8(line[:toolLineMax], "") + "…"
	}
	return line
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
