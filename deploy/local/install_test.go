package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testFolder(t *testing.T) folder {
	t.Helper()
	at := folder{repository: t.TempDir()}.of(singleStack())
	if err := at.make(); err != nil {
		t.Fatal(err)
	}
	return at
}

// silent shows nothing.
type silent struct{}

func (silent) begin(install, string) task        { return silent{} }
func (silent) close()                            {}
func (silent) end(outcome, int64, time.Duration) {}
func fills(name string) func(context.Context, string) error {
	return func(_ context.Context, into string) error {
		return os.WriteFile(filepath.Join(into, name), []byte("x"), 0o600)
	}
}

func TestAnInstallIsThereWholeOrNotAtAll(t *testing.T) {
	broken := errors.New("the line broke")
	tests := []struct {
		name string
		fill func(context.Context, string) error
		want string // part of the error; none when empty
	}{
		{"fills", fills("tool"), ""},
		{"fails after a file", func(ctx context.Context, into string) error {
			return errors.Join(fills("tool")(ctx, into), broken)
		}, "the line broke"},
		{"ends without the proof", fills("other"), "without tool"},
		{"fills the disk", func(context.Context, string) error { return fmt.Errorf("write: %w", unix.ENOSPC) }, "the disk is full"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			at := testFolder(t)
			err := installOne(t.Context(), at, install{name: "x", folder: "x-1", proof: "tool", fill: test.fill}, silent{})
			entries, _ := os.ReadDir(at.tool())
			if test.want == "" {
				if err != nil || len(entries) != 1 || entries[0].Name() != "x-1" {
					t.Errorf("got %v and %v", err, entries)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if len(entries) != 0 {
				t.Errorf("it left %v", entries)
			}
		})
	}
}

func TestWhatAKilledInstallLeftIsCleared(t *testing.T) {
	at := testFolder(t)
	left := at.tool(halfInstalledPrefix+"kafka-1", "libs")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(left, 0o500); err != nil {
		t.Fatal(err)
	}
	removeHalfInstalled(at)
	if entries, _ := os.ReadDir(at.tool()); len(entries) != 0 {
		t.Errorf("it left %v", entries)
	}
}

func TestAFullDiskIsSaidBeforeInstalling(t *testing.T) {
	at := folder{root: "/somewhere/.local"}
	if err := checkSpace(at, 3000, 3000); err != nil {
		t.Errorf("enough is not enough: %v", err)
	}
	err := checkSpace(at, 3000, 2999)
	if err == nil || !strings.Contains(err.Error(), "2999 MB free") || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
}

func TestEveryServiceFindsItsInstallAndHasItsOwnPorts(t *testing.T) {
	known := map[string]bool{}
	for _, i := range installs() {
		known[i.name] = true
	}
	for _, stack := range []stack{singleStack(), clusterStack()} {
		names, holders := map[string]bool{}, map[string]string{}
		for _, s := range stack.services() {
			if names[s.name] {
				t.Errorf("two services of %s are called %s", stack.name, s.name)
			}
			names[s.name] = true
			for _, name := range s.installs {
				if !known[name] {
					t.Errorf("%s needs the unknown install %s", s.name, name)
				}
			}
			for _, addr := range s.addrs {
				if !strings.HasPrefix(addr, "127.0.0.1:") {
					t.Errorf("%s listens on %s", s.name, addr)
				}
				if holder := holders[addr]; holder != "" {
					t.Errorf("%s and %s listen on %s", holder, s.name, addr)
				}
				holders[addr] = s.name
			}
		}
	}
}
