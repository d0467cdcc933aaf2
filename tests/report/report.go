// Package report writes what a benchmark measured to .local/reports/NAME.json,
// with the machine, the Git commit and the date it was measured on.
package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"clickledger/internal/config"
)

// Folder is where reports stand, from the project's root.
const Folder = ".local/reports"

// Origin is what every report says of itself. Embed it.
type Origin struct {
	Stack   string  `json:"stack"` // which one of the local stacks: local or cluster
	Machine Machine `json:"machine"`
	Commit  string  `json:"commit"` // with "-dirty" if files were changed
	Date    string  `json:"date"`   // RFC 3339, UTC
}

// NewOrigin looks at this machine and this checkout.
func NewOrigin(now time.Time) Origin {
	return Origin{Stack: Stack(), Machine: ThisMachine(), Commit: commit(), Date: now.UTC().Format(time.RFC3339)}
}

// Stack is the name of the local stack that the environment chooses.
func Stack() string { return cmp.Or(os.Getenv(config.StackVariable), config.StackLocal) }

// commit is the checked-out commit, or "unknown" outside a repository.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Write stores report as .local/reports/NAME.json, whole or not at all, and
// returns the path from the project's root.
func Write(name string, report any) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode report: %w", err)
	}
	path := filepath.Join(Folder, name+".json")
	if err := os.MkdirAll(filepath.Join(root, Folder), 0o755); err != nil {
		return "", fmt.Errorf("make folder for reports: %w", err)
	}
	temporary := filepath.Join(root, path+".new")
	if err := os.WriteFile(temporary, append(text, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("write report: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(root, path)); err != nil {
		return "", fmt.Errorf("write report: %w", err)
	}
	return path, nil
}

// Root is the project's root: the nearest folder upwards with a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project's root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the project's root: no go.mod here or above")
		}
		dir = parent
	}
}
