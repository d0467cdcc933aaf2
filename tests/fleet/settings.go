package fleet

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
)

// Variables are what the programs are told, by their full names.
func (f *Fleet) Variables() map[string]string { return maps.Clone(f.variables) }

// Restart has a program (gateway, ingester or aggregator) begin anew with what
// it is told now, and returns when it is ready.
func (f *Fleet) Restart(ctx context.Context, name string, variables map[string]string) error {
	program, ops := &f.Gateway, f.Config.GatewayOpsListen
	switch name {
	case "gateway":
	case "ingester":
		program, ops = &f.Ingester, f.Config.IngesterOpsListen
	case "aggregator":
		program, ops = &f.Aggregator, f.Config.AggregatorOpsListen
	default:
		return fmt.Errorf("there is no program %q", name)
	}
	if err := (*program).Stop(); err != nil {
		return fmt.Errorf("stop the %s: %w", name, err)
	}
	*program = NewProgram(name, filepath.Join(f.bin, name), ops, (*program).logPath, variables)
	if err := (*program).Start(); err != nil {
		return err
	}
	return (*program).Ready(ctx)
}
