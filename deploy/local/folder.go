package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"clickledger/internal/config"
)

// folder is .local, or the cluster's inside it: everything a stack made on this machine. Tools and programs are the same for all
// stacks and lie in .local itself.
type folder struct {
	repository string // absolute
	root       string // absolute: repository/.local, or where the stack has its own
	stack      stack
}

// findFolder looks for the repository upwards from the working folder.
func findFolder() (folder, error) {
	chosen, err := currentStack()
	if err != nil {
		return folder{}, err
	}
	at, err := os.Getwd()
	if err != nil {
		return folder{}, fmt.Errorf("find working folder: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "deploy", "local", "main.go")); err == nil {
			return folder{repository: at}.of(chosen), nil
		}
		if at == filepath.Dir(at) {
			return folder{}, errors.New("not inside the repository; change into it first")
		}
		at = filepath.Dir(at)
	}
}

// of is the folder of a stack in the same repository.
func (f folder) of(s stack) folder {
	return folder{repository: f.repository, root: filepath.Join(f.repository, filepath.FromSlash(config.StackFolder(s.name))), stack: s}
}

// shared is a path in .local itself, whatever the stack.
func (f folder) shared(elements ...string) string {
	return filepath.Join(append([]string{f.repository, config.StackFolder(config.StackLocal)}, elements...)...)
}

func (f folder) path(elements ...string) string {
	return filepath.Join(append([]string{f.root}, elements...)...)
}

// tool is where an installed tool lives. The version is part of the name, so a raised pin installs anew.
func (f folder) tool(elements ...string) string {
	return f.shared(append([]string{"tools"}, elements...)...)
}

func (f folder) data(elements ...string) string {
	return f.path(append([]string{"data"}, elements...)...)
}

func (f folder) bin(name string) string { return f.shared("bin", name) }

func (f folder) log(name string) string { return f.path("logs", name+".log") }

func (f folder) envFile() string { return f.path("env") }

// make creates the folders. They hold secrets and data, so only their owner may look.
func (f folder) make() error {
	paths := []string{f.root, f.shared("bin"), f.shared("tools"), f.path("data"), f.path("logs"), f.path("etc")}
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o700); err != nil {
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
