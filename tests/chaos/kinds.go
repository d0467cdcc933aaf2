package main

import (
	"slices"
	"time"
)

// kind is a way to do harm.
type kind string

const (
	kill    kind = "SIGKILL"
	freeze  kind = "SIGSTOP"
	restart kind = "restart"

	wipe    kind = "wiped"
	refuse  kind = "answers with errors"
	fillUp  kind = "journal disk full"
	slow    kind = "slow connection"
	narrow  kind = "narrow connection"
	reset   kind = "reset connection"
	swallow kind = "black hole"
	cut     kind = "cut connection"
)

// processKinds hit a process, linkKinds a connection.
var (
	processKinds = [...]kind{kill, freeze, restart}
	linkKinds    = [...]kind{slow, narrow, reset, swallow, cut}
)

// role is what a program is; there may be more than one of it.
type role string

const (
	gateway    role = "gateway"
	ingester   role = "ingester"
	aggregator role = "aggregator"
)

// Parts are what servers there are, by the local stack's names; in a cluster
// there are several of some: kafka-1, kafka-2.
const (
	kafka       = "kafka"
	clickhouse  = "clickhouse"
	valkeyCache = "valkey-cache"
	valkeySeen  = "valkey-seen"
	temporal    = "temporal"
	minio       = "minio"
)

// member is one program that runs.
type member struct {
	name string
	role role
}

// members are the programs under fire, in the order of the broker's listeners.
var members = [...]member{
	{"gateway-1", gateway}, {"gateway-2", gateway}, {"ingester-1", ingester}, {"ingester-2", ingester},
	{"aggregator-1", aggregator}, {"aggregator-2", aggregator},
}

// uses says which parts a program of a role talks to: cutting another
// connection harms nobody.
func (r role) uses() []string {
	switch r {
	case gateway:
		return []string{kafka, clickhouse, valkeyCache}
	case ingester:
		return []string{kafka, clickhouse, valkeySeen, temporal}
	case aggregator:
		return []string{kafka, clickhouse, valkeySeen, temporal}
	default:
		panic("no such role: " + string(r))
	}
}

// span is how long a fault lasts, from and to.
type span struct{ from, to time.Duration }

// freezes are long enough for what a process may lose by standing still: an
// ingester its place in the group (10 s), an aggregator its activities, which the
// other one begins again meanwhile, a server the patience of all its clients.
func freezes(process string) span {
	switch partOf(process) {
	case string(gateway):
		return span{5 * time.Second, 12 * time.Second}
	case string(ingester):
		return span{12 * time.Second, 30 * time.Second}
	case string(aggregator), temporal:
		return span{10 * time.Second, 40 * time.Second}
	default:
		return span{5 * time.Second, 20 * time.Second}
	}
}

// lasting is how long a fault that is not a freeze lasts; a killed or restarted
// process is back as soon as it can.
func (k kind) lasting() span {
	switch k {
	case slow, narrow, swallow:
		return span{8 * time.Second, 20 * time.Second}
	case reset, cut:
		return span{4 * time.Second, 12 * time.Second}
	case refuse, fillUp:
		return span{6 * time.Second, 15 * time.Second}
	case kill, freeze, restart, wipe:
		return span{}
	default:
		panic("no such kind: " + string(k))
	}
}

func (k kind) hitsLink() bool { return slices.Contains(linkKinds[:], k) }
