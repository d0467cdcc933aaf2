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

// Memory is what the fullest server used when it was last asked; zero before.
func (s *SeenIndex) Memory() SeenMemory {
	m, _ := s.fullest()
	return m
}

// fullest is what the fullest server used when it was last asked, and which one
// that is.
func (s *SeenIndex) fullest() (most SeenMemory, addr string) {
	for _, server := range s.servers.holders() {
		m := server.memory.Load()
		if m == nil {
			continue
		}
		if addr == "" || m.percent() > most.percent() || m.percent() == most.percent() && m.Used > most.Used {
			most, addr = *m, server.addr
		}
	}
	return most, addr
}

// CheckMemory asks the servers how full they are. The alarm is a sentence for
// operators, empty while less than 80 % is used of each.
func (s *SeenIndex) CheckMemory(ctx context.Context) (alarm string, err error) {
	err = s.onServers(ctx, s.everyShard(), func(part seenPart) error {
		// Nothing else says that a shard is another server's.
		answers := part.server.client.DoMulti(ctx, append(s.appendSentinels(nil, part), part.server.info())...)
		if _, err := s.examine(ctx, part, answers[len(part.shards)]); err != nil {
			return err
		}
		for _, answer := range answers[:len(part.shards)] {
			if _, err := readSentinel(part.server, answer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	most, addr := s.fullest()
	return most.alarm(addr), nil
}
