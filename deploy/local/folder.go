package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// folder is .local: everything the stack made on this machine.
type folder struct {
	repository string // absolute
	root       string // absolute, repository/.local
}

// findFolder looks for the repository upwards from the working folder.
func findFolder() (folder, error) {
	at, err := os.Getwd()
	if err != nil {
		return folder{}, fmt.Errorf("find working folder: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "deploy", "local", "main.go")); err == nil {
			return folder{repository: at, root: filepath.Join(at, ".local")}, nil
		}
		if at == filepath.Dir(at) {
			return folder{}, errors.New("not inside the repository; change into it first")
		}
		at = filepath.Dir(at)
	}
}

func (f folder) path(elements ...string) string {
	return filepath.Join(append([]string{f.root}, elements...)...)
}

// tool is where an installed tool lives. The version is part of the name, so a raised pin installs anew.
func (f folder) tool(elements ...string) string {
	return f.path(append([]string{"tools"}, elements...)...)
}

func (f folder) data(elements ...string) string {
	return f.path(append([]string{"data"}, elements...)...)
}

func (f folder) bin(name string) string { return f.path("bin", name) }

func (f folder) log(name string) string { return f.path("logs", name+".log") }

func (f folder) envFile() string { return f.path("env") }

// make creates the folders. They hold secrets and data, so only their owner may look.
func (f folder) make() error {
	for _, name := range []string{"", "bin", "tools", "data", "logs", "etc"} {
		if err := os.MkdirAll(f.path(name), 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}

// writePrivate replaces a file at once, readable by its owner only.
func writePrivate(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	defer os.Remove(temporary.Name()) // fails once it has been renamed, as it should
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
