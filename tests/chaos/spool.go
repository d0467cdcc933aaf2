package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"
)

const (
	// spooler is the disk of the second gateway's journal.
	spooler    = "journal of " + spoolOwner
	spoolOwner = "gateway-2"

	journalFile = "journal.db"

	spoolOptions = "size=16m"
	fillerBytes  = 1 << 16
)

// errNoSpool: only root may mount a disk.
var errNoSpool = errors.New("skipped: a small disk for the journal could not be mounted here")

// spool is a small disk of the second gateway's journal, which can be filled.
type spool struct {
	folder  string
	mounted bool
}

// newSpool mounts a small disk at folder, or leaves it a plain folder where
// that is not allowed.
func newSpool(folder string) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the journal: %w", err)
	}
	err := mount(folder)
	if err != nil {
		say("no small disk for a journal, it will not be filled: %v", err)
	}
	return &spool{folder, err == nil}, nil
}

func (s *spool) filler() string { return filepath.Join(s.folder, "filler") }

// fill leaves no room on the disk.
func (s *spool) fill() error {
	if !s.mounted {
		return errNoSpool
	}
	file, err := os.Create(s.filler())
	if err != nil {
		return fmt.Errorf("fill the disk of the journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, fillerBytes)
	for len(block) > 0 {
		n, err := file.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			return fmt.Errorf("fill the disk of the journal: %w", err)
		case n < len(block):
			return io.ErrShortWrite
		}
	}
	return nil
}

// compact takes the free pages out of the journal, while nobody has it open: a
// journal that was used before could keep that many clicks on a full disk.
func (s *spool) compact() error {
	path := filepath.Join(s.folder, journalFile)
	if err := compactJournal(path, path+".new"); err != nil {
		return fmt.Errorf("compact the journal: %w", err)
	}
	return os.Rename(path+".new", path)
}

func compactJournal(from, to string) (err error) {
	source, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true, Timeout: askTimeout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := bbolt.Open(to, 0o600, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return bbolt.Compact(target, source, 0)
}

// free gives the room back.
func (s *spool) free() error {
	if err := os.Remove(s.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free the disk of the journal: %w", err)
	}
	return nil
}

// close unmounts the disk. The journal stays in the folder, to be looked at.
func (s *spool) close() error {
	if !s.mounted {
		return nil
	}
	path := filepath.Join(s.folder, journalFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return unmount(s.folder)
	}
	return errors.Join(err, unmount(s.folder), os.WriteFile(path, text, 0o600))
}
