package valkey

import (
	"context"
	"fmt"
)

// memoryAlarm is the part of its memory, in per cent, from which on the seen
// index should be given more: a full one stops ingestion.
const memoryAlarm = 80

// SeenMemory is what the index's server uses, in bytes. Max is 0 when it has no
// limit of its own.
type SeenMemory struct{ Used, Max int64 }

// percent is how full the server is, 0 without a limit.
func (m SeenMemory) percent() int64 {
	if m.Max <= 0 {
		return 0
	}
	return m.Used * 100 / m.Max
}

// alarm says in words what to raise, or nothing while there is room.
func (m SeenMemory) alarm(addr string) string {
	if m.percent() < memoryAlarm {
		return ""
	}
	return fmt.Sprintf("The seen index uses %d %% of its memory (%d of %d MiB): raise maxmemory of the Valkey at %s. When it is full, clicks wait in Kafka and are not counted.",
		m.percent(), m.Used>>20, m.Max>>20, addr)
}

// Memory is what the server used when it was last asked; zero before.
func (s *SeenIndex) Memory() SeenMemory {
	if m := s.memory.Load(); m != nil {
		return *m
	}
	return SeenMemory{}
}

// CheckMemory asks the server how full it is. The alarm is a sentence for
// operators, empty while less than 80 % is used.
func (s *SeenIndex) CheckMemory(ctx context.Context) (alarm string, err error) {
	if _, err := s.examine(ctx, s.client.Do(ctx, s.info())); err != nil {
		return "", err
	}
	return s.Memory().alarm(s.addr), nil
}
