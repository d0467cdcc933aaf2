package main

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"clickledger/internal/config"
)

// Kafka tells its clients where it is. Each broker has a listener for each
// program, here, which tells the address of that program's proxy before that
// broker: deploy/local/kafka.go.
const (
	proxiedFirstPort = 9193 // where the first broker listens
	proxiesFirstPort = 9243 // where the proxies before it do
	brokerPorts      = 10   // from one broker's to the next one's
)

// All other ports are a block for each program. They are below those that the
// system gives to connections: while a program is killed or a connection cut,
// its port must not be taken by another.
const (
	blocksFirstPort = 9300
	blockPorts      = 20
	listenPort      = 18 // in the block, after a proxy's for each server
	opsPort         = 19
)

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func blockAddr(program, port int) string { return local(blocksFirstPort + blockPorts*program + port) }

// network is a proxy between each program and each server that it can reach by
// one.
type network struct {
	system  system
	proxies map[link]*toxiproxy.Proxy
}

// route is where a proxy listens and what it is before.
type route struct{ listen, upstream string }

// routes are those of all proxies. Programs have one for every server, whether
// they use it or not.
func (s system) routes(addresses map[string]string) map[link]route {
	routes := map[link]route{}
	for i, m := range members {
		for n, broker := range s.servers[kafka] {
			offset := n*brokerPorts + i
			routes[link{m.name, broker}] = route{local(proxiesFirstPort + offset), local(proxiedFirstPort + offset)}
		}
		port := 0
		for _, part := range parts {
			if part == kafka || !s.proxied(part) {
				continue
			}
			for _, name := range s.servers[part] {
				routes[link{m.name, name}] = route{blockAddr(i, port), addresses[name]}
				port++
			}
		}
	}
	return routes
}

// newNetwork starts the proxies before the servers at addresses.
func newNetwork(s system, addresses map[string]string) (*network, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	n := &network{system: s, proxies: map[link]*toxiproxy.Proxy{}}
	for l, r := range s.routes(addresses) {
		proxy := toxiproxy.NewProxy(server, l.String(), r.listen, r.upstream)
		if err := proxy.Start(); err != nil {
			n.close()
			return nil, fmt.Errorf("start the proxy of %s: %w", l, err)
		}
		n.proxies[l] = proxy
	}
	return n, nil
}

func (n *network) close() {
	for _, proxy := range n.proxies {
		proxy.Stop()
	}
}

// variables are direct ones, but every server is reached by way of the proxies
// of one program, where there are.
func (n *network) variables(direct map[string]string, program string) map[string]string {
	variables := maps.Clone(direct)
	for part, name := range map[string]string{
		kafka: "KAFKA_BROKERS", clickhouse: "CLICKHOUSE_ADDRS", valkeyCache: "VALKEY_CACHE_ADDR",
		valkeySeen: "VALKEY_SEEN_ADDR", temporal: "TEMPORAL_ADDR", minio: "S3_ENDPOINT",
	} {
		if !n.system.proxied(part) {
			continue
		}
		var listen []string
		for _, l := range n.system.linksTo(program, part) {
			listen = append(listen, n.proxies[l].Listen)
		}
		variables[config.Prefix+name] = strings.Join(listen, ",")
	}
	return variables
}

// harm makes a connection faulty; mend ends it.
func (n *network) harm(f fault) error {
	proxy := n.proxies[f.link]
	if f.kind == cut {
		proxy.Stop()
		return nil
	}
	for _, toxic := range toxics(f) {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return fmt.Errorf("make the connection of %s faulty: %w", f.link, err)
		}
	}
	return nil
}

func (n *network) mend(f fault) error {
	proxy := n.proxies[f.link]
	if f.kind == cut {
		if err := proxy.Start(); err != nil {
			return fmt.Errorf("mend the connection of %s: %w", f.link, err)
		}
		return nil
	}
	proxy.Toxics.ResetToxics(context.Background())
	return nil
}

// toxics are what toxiproxy calls the faults of a connection. Upstream is what
// the program says, downstream what the server answers.
func toxics(f fault) []string {
	both := []string{"upstream", "downstream"}
	toxic := func(form, direction, attributes string, values ...any) string {
		return fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%s}}`, form, direction, fmt.Sprintf(attributes, values...))
	}
	switch f.kind {
	case slow:
		ms := 50 + f.variant%950
		return []string{toxic("latency", both[0], `"latency":%d,"jitter":%d`, ms/2, ms/4), toxic("latency", both[1], `"latency":%d,"jitter":%d`, ms/2, ms/4)}
	case narrow:
		return []string{
			toxic("bandwidth", both[f.variant%2], `"rate":%d`, 4+f.variant%60), // KB/s
			toxic("slicer", both[1], `"average_size":64,"size_variation":32,"delay":100`),
		}
	case reset:
		return []string{toxic("reset_peer", both[f.variant%2], `"timeout":%d`, f.variant%1000)}
	case swallow:
		// One direction is worse than both: an ack that does not come is of
		// something that was done.
		directions := [][]string{both[:1], both[1:], both}[f.variant%3]
		var holes []string
		for _, direction := range directions {
			holes = append(holes, toxic("timeout", direction, `"timeout":0`))
		}
		return holes
	default:
		panic("not a fault of a connection: " + string(f.kind))
	}
}
