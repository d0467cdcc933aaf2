package valkey

import (
	"strings"
	"testing"
)

func TestMemoryAlarmComesAt80PerCentAndSaysWhatToRaise(t *testing.T) {
	for name, c := range map[string]struct {
		memory SeenMemory
		alarm  bool
	}{
		"never asked": {SeenMemory{}, false},
		"no limit":    {SeenMemory{Used: 1 << 40}, false},
		"room":        {SeenMemory{Used: 799 << 20, Max: 1000 << 20}, false},
		"80 %":        {SeenMemory{Used: 800 << 20, Max: 1000 << 20}, true},
		"over full":   {SeenMemory{Used: 1001 << 20, Max: 1000 << 20}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.memory.alarm("valkey:6380")
			if (got != "") != c.alarm {
				t.Errorf("the alarm is %q", got)
			}
			if c.alarm && (!strings.Contains(got, "raise maxmemory of the Valkey at valkey:6380") || !strings.Contains(got, "of 1000 MiB")) {
				t.Errorf("the alarm does not say what to raise: %q", got)
			}
		})
	}
}

func TestMemoryIsReadFromTheServer(t *testing.T) {
	index, _ := newSeenIndex(t)
	alarm, err := index.CheckMemory(t.Context())
	if m := index.Memory(); err != nil || m.Used <= 0 || alarm != m.alarm(index.servers.all[0].addr) {
		t.Errorf("alarm %q, memory %+v, %v", alarm, m, err)
	}
}
