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

// Kafka tells its clients where it is. It has a listener for each program,
// here, which tells the address of that program's proxy: deploy/local/kafka.go.
const (
	proxiedFirstPort = 9193
	proxiesFirstPort = 9293
)

// All other ports are a block for each program. They are below those that the
// system gives to connections: while a program is killed or a connection cut,
// its port must not be taken by another.
const (
	blocksFirstPort = 9300
	blockPorts      = 10
	listenPort      = 8 // in the block, after a proxy's for each server
	opsPort         = 9
)

func blockAddr(program, port int) string {
	return fmt.Sprintf("127.0.0.1:%d", blocksFirstPort+blockPorts*program+port)
}

// network is a proxy between each program and each server.
type network struct {
	proxies map[link]*toxiproxy.Proxy
}

// newNetwork starts the proxies before the servers of c.
func newNetwork(c config.Config) (*network, error) {
	upstreams := map[string]string{
		clickhouse: c.ClickHouseAddrs[0], valkeyCache: c.ValkeyCacheAddr, valkeySeen: c.ValkeySeenAddrs[0], temporal: c.TemporalAddr, minio: c.S3Endpoint,
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	n := &network{proxies: map[link]*toxiproxy.Proxy{}}
	for i, m := range members {
		for port, name := range servers {
			listen, upstream := blockAddr(i, port), upstreams[name]
			if name == kafka {
				listen, upstream = fmt.Sprintf("127.0.0.1:%d", proxiesFirstPort+i), fmt.Sprintf("127.0.0.1:%d", proxiedFirstPort+i)
			}
			l := link{m.name, name}
			n.proxies[l] = toxiproxy.NewProxy(server, l.String(), listen, upstream)
			if err := n.proxies[l].Start(); err != nil {
				n.close()
				return nil, fmt.Errorf("start the proxy of %s: %w", l, err)
			}
		}
	}
	return n, nil
}

func (n *network) close() {
	for _, proxy := range n.proxies {
		proxy.Stop()
	}
}

// variables are direct ones, but every server is reached by way of the proxies
// of one program.
func (n *network) variables(direct map[string]string, program string) map[string]string {
	variables := maps.Clone(direct)
	for server, name := range map[string]string{
		kafka: "KAFKA_BROKERS", clickhouse: "CLICKHOUSE_ADDRS", valkeyCache: "VALKEY_CACHE_ADDR",
		valkeySeen: "VALKEY_SEEN_ADDR", temporal: "TEMPORAL_ADDR", minio: "S3_ENDPOINT",
	} {
		variables[config.Prefix+name] = n.proxies[link{program, server}].Listen
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
