package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// StackVariable is the switch of everything that uses the local stack: unset or
// StackLocal is one of each server and program, StackCluster is several. It is
// read by tests and tools, not by the programs.
const (
	StackVariable = "STACK"
	StackLocal    = "local"
	StackCluster  = "cluster"
)

// StackFolder is where a stack keeps its settings, data and logs, from the
// project's root.
func StackFolder(stack string) string {
	if stack == StackCluster {
		return ".local/cluster"
	}
	return ".local"
}

// LocalFolder is StackFolder of the stack that the environment chooses.
func LocalFolder() (string, error) {
	switch stack := os.Getenv(StackVariable); stack {
	case "", StackLocal, StackCluster:
		return StackFolder(stack), nil
	default:
		return "", fmt.Errorf("%s=%s: there are the stacks %s and %s", StackVariable, stack, StackLocal, StackCluster)
	}
}

// ReadEnvFile reads KEY=VALUE lines; empty lines and lines that begin with #
// are passed over.
func ReadEnvFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	variables := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("read settings: line %d of %s is not KEY=VALUE", i+1, path)
		}
		variables[key] = value
	}
	return variables, nil
}

// IsSecret tells by a variable's name whether its value must not be shown, nor
// stand in a command line, which every user of the machine can read.
func IsSecret(name string) bool {
	return strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "_KEYS") || strings.HasSuffix(name, "_PASSWORD")
}

// LocalVariables finds the local stack's settings from the working directory
// upwards: the nearest directory with a go.mod holds `.local/env`, or the
// cluster's, see StackVariable. Variables
// of the process's environment that begin with Prefix win.
func LocalVariables() (map[string]string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the project's root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, errors.New("find the project's root: no go.mod here or above")
		}
		dir = parent
	}
	folder, err := LocalFolder()
	if err != nil {
		return nil, err
	}
	variables, err := ReadEnvFile(filepath.Join(dir, folder, "env"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the local stack was never started here (%s/env is missing): run `just up`, or `just cluster` for the cluster", folder)
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range os.Environ() {
		if key, value, _ := strings.Cut(entry, "="); strings.HasPrefix(key, Prefix) {
			variables[key] = value
		}
	}
	return variables, nil
}
