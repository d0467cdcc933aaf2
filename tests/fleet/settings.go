package fleet

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
)

// Variables are what the programs are told, by their full names.
func (f *Fleet) Variables() map[string]string { return maps.Clone(f.variables) }

// Restart has a program, by its name, begin anew with what it is told now, and
// returns when it is ready.
func (f *Fleet) Restart(ctx context.Context, name string, variables map[string]string) error {
	for _, program := range []**Program{&f.Gateway, &f.Ingester, &f.Aggregator} {
		old := *program
		if old.Name != name {
			continue
		}
		if err := old.Stop(); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
		*program = NewProgram(name, filepath.Join(f.bin, name), old.ops, old.logPath, variables)
		if err := (*program).Start(); err != nil {
			return err
		}
		return (*program).Ready(ctx)
	}
	return fmt.Errorf("there is no program %s", name)
}
