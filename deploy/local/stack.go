package main

import (
	"fmt"
	"os"
	"strings"

	"clickledger/internal/config"
)

// stack is which processes run: one of each server and program, or several, as a cluster on one machine. What is done with them is the
// same; `just cluster` has another table, that is all.
type stack struct {
	name   string // of the switch, config.StackVariable
	start  string // the command that starts it
	kafka  []node
	clicks []node // ClickHouse, by shard; the first is home
	seen   []node // Valkey of the seen index
	// Programs: the first address is the one to use it by, the last is for operators.
	gateways, ingesters, aggregators []node
	// linger is CLICKLEDGER_PRODUCE_LINGER: every gateway sends to every broker once in that time. It must be longer than an
	// acknowledgement takes: a broker deals with the requests of one connection one after the other, so they would queue.
	linger string
	// timeout is CLICKLEDGER_PRODUCE_TIMEOUT: how long a click waits for Kafka before it goes to the journal. It is at least two
	// lingers, and a moment in which all processes want the same processors.
	timeout string
	// batch is CLICKLEDGER_BATCH_INTERVAL: every ingester inserts into every shard once in that time.
	batch string
}

// node is one process of a part that may have several.
type node struct {
	name  string
	addrs []string // the first is the one to use it by
}

func (n node) addr() string { return n.addrs[0] }

// ops is where a program answers operators.
func (n node) ops() string { return n.addrs[len(n.addrs)-1] }

// singleStack is one of everything: what a person starts with, and all a small ledger needs.
func singleStack() stack {
	return stack{
		name: config.StackLocal, start: "just up",
		kafka:       []node{{"kafka", local(9092, 9093)}},
		clicks:      []node{{"clickhouse", local(9000, 8123)}},
		seen:        []node{{"valkey-seen", local(6380)}},
		gateways:    []node{{"gateway", local(8080, 8090)}},
		ingesters:   []node{{"ingester", local(8091)}},
		aggregators: []node{{"aggregator", local(8092)}},
		linger:      "5ms",
		timeout:     "250ms",
		batch:       "700ms",
	}
}

// clusterStack is several of what users have several of. The cache stays one: losing it costs work, never a click.
func clusterStack() stack {
	return stack{
		name: config.StackCluster, start: "just cluster",
		kafka:       []node{{"kafka-1", local(9092, 9093)}, {"kafka-2", local(9094, 9095)}, {"kafka-3", local(9096, 9097)}},
		clicks:      []node{{"clickhouse-1", local(9000, 8123)}, {"clickhouse-2", local(9001, 8124)}},
		seen:        []node{{"valkey-seen-1", local(6380, 16380)}, {"valkey-seen-2", local(6381, 16381)}, {"valkey-seen-3", local(6382, 16382)}},
		gateways:    []node{{"gateway-1", local(8080, 8090)}, {"gateway-2", local(8081, 8093)}},
		ingesters:   []node{{"ingester-1", local(8091)}, {"ingester-2", local(8094)}},
		aggregators: []node{{"aggregator-1", local(8092)}, {"aggregator-2", local(8095)}},
		linger:      "100ms",
		timeout:     "500ms",
		batch:       "1s",
	}
}

// currentStack is the one that the environment asks for.
func currentStack() (stack, error) {
	switch chosen := os.Getenv(config.StackVariable); chosen {
	case "", config.StackLocal:
		return singleStack(), nil
	case config.StackCluster:
		return clusterStack(), nil
	default:
		return stack{}, fmt.Errorf("%s=%s: there are the stacks %s and %s", config.StackVariable, chosen, config.StackLocal, config.StackCluster)
	}
}

// local are addresses of this machine's own: nothing listens for the world.
func local(ports ...int) []string {
	addrs := make([]string, len(ports))
	for i, port := range ports {
		addrs[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return addrs
}

// addrsOf is a list of the addresses to use nodes by, as settings have it.
func addrsOf(nodes []node) string {
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.addr())
	}
	return strings.Join(addrs, ",")
}
