package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// fingerprint stands for a program and the settings it starts with: another one means that a running process is out of date.
func fingerprint(path string, known settings) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		fmt.Fprintf(hash, "\n%s=%s", name, known[name])
	}
	return hex.EncodeToString(hash.Sum(nil)[:12]), nil
}
