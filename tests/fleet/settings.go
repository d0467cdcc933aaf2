package fleet

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
)

// Variables are what the programs are told, by their full names.
func (f *Fleet) Variables() map[string]string { return maps.Clone(f.variables) }

// RestartGateway has the gateway begin anew with what it is told now, and
// returns when it is ready.
func (f *Fleet) RestartGateway(ctx context.Context, variables map[string]string) error {
	if err := f.Gateway.Stop(); err != nil {
		return fmt.Errorf("stop the gateway: %w", err)
	}
	f.Gateway = NewProgram("gateway", filepath.Join(f.bin, "gateway"), f.Config.GatewayOpsListen, f.Gateway.logPath, variables)
	if err := f.Gateway.Start(); err != nil {
		return err
	}
	return f.Gateway.Ready(ctx)
}
