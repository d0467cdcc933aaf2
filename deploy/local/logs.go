package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

const (
	logTail           = 16 << 10 // bytes of a log shown at first
	logFollowInterval = 200 * time.Millisecond
)

type logsCommand struct {
	Name   string `arg:"" help:"Which one; supervisor is one too."`
	Follow bool   `short:"f" help:"Go on until interrupted."`
}

// Run prints the end of a log and, if asked, what is added to it.
func (c *logsCommand) Run(ctx context.Context, at folder) error {
	if _, known := at.stack.find(c.Name); !known && c.Name != "supervisor" && c.Name != "setup" {
		return unknownService(at, c.Name)
	}
	path := at.log(c.Name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no log yet: it was never started", c.Name)
	}
	text := tail(path, logTail)
	if _, err := io.WriteString(os.Stdout, text); err != nil {
		return fmt.Errorf("print log: %w", err)
	}
	if !c.Follow {
		return nil
	}
	return follow(ctx, path, os.Stdout)
}

// tail is the end of a file, from the beginning of a line; empty if it cannot be read.
func tail(path string, size int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	from := max(0, info.Size()-size)
	content, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if err != nil {
		return ""
	}
	text := string(content)
	if from > 0 {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// follow prints what is added to a file until the context ends, and begins anew when it was set aside.
func follow(ctx context.Context, path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	ticker := time.NewTicker(logFollowInterval)
	defer ticker.Stop()
	for {
		if _, err := io.Copy(out, file); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if renewed, ok := reopened(file, path); ok {
			_ = file.Close()
			file = renewed
		}
	}
}

// reopened opens the path if it is no longer the file that is open.
func reopened(file *os.File, path string) (*os.File, bool) {
	old, errOld := file.Stat()
	now, errNow := os.Stat(path)
	if errOld != nil || errNow != nil || os.SameFile(old, now) {
		return nil, false
	}
	renewed, err := os.Open(path)
	return renewed, err == nil
}
