package fleet

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"clickledger/internal/config"
)

// AnotherGateway starts one more gateway, with a journal of its own and the
// overrides, and returns it and its URL when it is ready.
func (f *Fleet) AnotherGateway(t testing.TB, overrides map[string]string) (*Program, string) {
	t.Helper()
	addrs, err := FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	variables := maps.Clone(f.variables)
	variables[config.Prefix+"JOURNAL_PATH"] = filepath.Join(t.TempDir(), "journal.db")
	variables[config.Prefix+"GATEWAY_LISTEN"], variables[config.Prefix+"GATEWAY_OPS_LISTEN"] = addrs[0], addrs[1]
	maps.Copy(variables, overrides)
	name := fmt.Sprintf("gateway-%d", len(f.more)+2)
	p := NewProgram(name, filepath.Join(f.bin, "gateway"), addrs[1], filepath.Join(f.logs, name+".log"), variables)
	f.more = append(f.more, p)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p, "http://" + addrs[0]
}
