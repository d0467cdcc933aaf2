package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// EnvFile is where the local stack keeps its settings, from the project's root.
const EnvFile = ".local/env"

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

// LocalVariables finds the local stack's settings from the working directory
// upwards: the nearest directory with a go.mod holds `.local/env`. Variables
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
	variables, err := ReadEnvFile(filepath.Join(dir, EnvFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the local stack was never started here (%s is missing): run `just up`", EnvFile)
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
