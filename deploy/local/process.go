package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const logSizeMax = 64 << 20 // a longer log is set aside at the next start

// command is the process to start, its output in the service's log.
func (c *child) command(at site) (*exec.Cmd, func(), error) {
	path := c.at.log(c.service.name)
	if info, err := os.Stat(path); err == nil && info.Size() > logSizeMax {
		_ = os.Rename(path, path+".1")
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", plainDiskError(err, c.at))
	}
	words := c.service.command(at)
	command := exec.Command(words[0], words[1:]...) //nolint:noctx // it is asked to end before it is killed
	command.Dir = c.at.data(c.service.name)
	command.Stdout, command.Stderr = log, log
	command.Env = at.settings.environment()
	if c.service.environment != nil {
		command.Env = append(command.Env, c.service.environment(at)...)
	}
	for name, value := range c.set { // the last of a name counts
		command.Env = append(command.Env, name+"="+value)
	}
	return command, func() { _ = log.Close() }, nil
}

// exit is how a process ended: nil for an exit code of 0.
type exit struct{ err error }

// endOf says how a process ended, with the last line it wrote.
func endOf(log string, err error) error {
	how := "ended by itself"
	if err != nil {
		how = err.Error()
	}
	if line := lastLine(tail(log, 4<<10)); line != "" {
		return errors.New(how + ": " + line)
	}
	return errors.New(how + " without a word in " + filepath.Base(log))
}
