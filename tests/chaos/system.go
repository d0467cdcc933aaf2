package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"clickledger/internal/config"
)

// parts are in the order in which a plan speaks of them.
var parts = [...]string{kafka, clickhouse, valkeyCache, valkeySeen, temporal, minio}

// system is what a plan can hit: chaos's own programs, and the servers of the
// local stack, by part.
type system struct{ servers map[string][]string }

// newSystem finds the servers among the names that the supervisor knows. Its own
// programs are none of chaos's business.
func newSystem(names []string) (system, error) {
	s := system{servers: map[string][]string{}}
	for _, name := range names {
		if part := partOf(name); slices.Contains(parts[:], part) {
			s.servers[part] = append(s.servers[part], name)
		}
	}
	for _, part := range parts {
		if len(s.servers[part]) == 0 {
			return system{}, fmt.Errorf("the supervisor knows no %s", part)
		}
	}
	return s, nil
}

// partOf is what a server or program is one of: kafka of kafka and of kafka-2.
func partOf(name string) string {
	at := strings.LastIndexByte(name, '-')
	if at < 0 {
		return name
	}
	if _, err := strconv.Atoi(name[at+1:]); err != nil {
		return name // valkey-seen
	}
	return name[:at]
}

// all are the names of the servers.
func (s system) all() []string {
	var names []string
	for _, part := range parts {
		names = append(names, s.servers[part]...)
	}
	return names
}

// processes are the names of everything that can be hit by a signal.
func (s system) processes() []string {
	var names []string
	for _, m := range members {
		names = append(names, m.name)
	}
	return append(names, s.all()...)
}

// proxied is whether programs reach a part by way of proxies. Primaries that
// share the seen index tell their clients each other's addresses (MOVED), which
// are not the proxies', and know no others to tell: connections to them are left
// alone. They are hit themselves instead.
func (s system) proxied(part string) bool { return part != valkeySeen || len(s.servers[part]) == 1 }

// link is the connection of a program to a server.
type link struct{ program, server string }

func (l link) String() string { return l.program + " to " + l.server }

// links are all connections that are used and lead by way of a proxy.
func (s system) links() []link {
	var all []link
	for _, m := range members {
		for _, part := range m.role.uses() {
			if s.proxied(part) {
				all = append(all, s.linksTo(m.name, part)...)
			}
		}
	}
	return all
}

// linksTo are the connections of a program to all servers of a part.
func (s system) linksTo(program, part string) []link {
	var all []link
	for _, server := range s.servers[part] {
		all = append(all, link{program, server})
	}
	return all
}

// addresses say where each server is, by its name: settings list the servers of
// a part in the order in which the supervisor knows them.
func (s system) addresses(c config.Config) (map[string]string, error) {
	addresses := map[string]string{}
	for part, listed := range map[string][]string{
		kafka: c.KafkaBrokers, clickhouse: c.ClickHouseAddrs, valkeyCache: {c.ValkeyCacheAddr},
		valkeySeen: c.ValkeySeenAddrs, temporal: {c.TemporalAddr}, minio: {c.S3Endpoint},
	} {
		names := s.servers[part]
		if len(names) != len(listed) {
			return nil, fmt.Errorf("the settings have %d addresses of %s, the supervisor %d: %v", len(listed), part, len(names), names)
		}
		for i, name := range names {
			addresses[name] = listed[i]
		}
	}
	return addresses, nil
}
