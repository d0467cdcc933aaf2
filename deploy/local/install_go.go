package main

import (
	"context"
	"fmt"
)

// goInstall compiles a program by its pinned module path.
func goInstall(module string) func(ctx context.Context, into string) error {
	return func(ctx context.Context, into string) error {
		// A person's own flags (-mod=vendor, another GOOS) are for their code. An empty GOFLAGS would not override Go's own settings
		// file, so it gets a flag that changes nothing here.
		environment := []string{"GOBIN=" + into, "GOFLAGS=-buildvcs=false", "GOOS=", "GOARCH=", "GOWORK=off"}
		if _, err := runTool(ctx, into, environment, "go", "install", module); err != nil {
			return fmt.Errorf("compile %s: %w; check the network, then run this again: what was compiled is kept", module, err)
		}
		return nil
	}
}

// buildLauncher compiles the ClickHouse launcher into .local/bin; quick when nothing changed.
func buildLauncher(ctx context.Context, at folder) error {
	// Several shards start at once.
	unlock, err := lockFile(at.shared("launcher.lock"), true)
	if err != nil {
		return err
	}
	defer unlock()
	environment := []string{"GOFLAGS=-buildvcs=false", "GOOS=", "GOARCH=", "CGO_ENABLED=0"}
	_, err = runTool(ctx, at.repository, environment, "go", "build", "-o", at.bin("clickhouse-server"), "./deploy/local/clickhouse-server")
	if err != nil {
		return fmt.Errorf("build the ClickHouse launcher: %w", err)
	}
	return nil
}
