package fleet

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"clickledger/internal/config"
)

// AnotherIngester starts a second ingester beside the fleet's own and returns
// when it is ready. It ends with the fleet.
func (f *Fleet) AnotherIngester(t testing.TB) *Program {
	t.Helper()
	ops, err := FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	variables := maps.Clone(f.variables)
	variables[config.Prefix+"INGESTER_OPS_LISTEN"] = ops[0]
	log := filepath.Join(f.logs, fmt.Sprintf("ingester-%d.log", len(f.more)+2))
	p := NewProgram("ingester", filepath.Join(f.bin, "ingester"), ops[0], log, variables)
	f.more = append(f.more, p)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}
