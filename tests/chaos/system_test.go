package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"clickledger/internal/config"
)

// supervisors are what each stack's supervisor lists, and what its settings say.
var supervisors = map[string]struct {
	names  []string
	config config.Config
}{
	config.StackLocal: {
		[]string{"kafka", "clickhouse", "valkey-cache", "valkey-seen", "minio", "temporal", "gateway", "ingester", "aggregator"},
		config.Config{
			KafkaBrokers: []string{"127.0.0.1:9092"}, ClickHouseAddrs: []string{"127.0.0.1:9000"},
			ValkeyCacheAddr: "127.0.0.1:6379", ValkeySeenAddrs: []string{"127.0.0.1:6380"}, TemporalAddr: "127.0.0.1:7233", S3Endpoint: "127.0.0.1:9100",
		},
	},
	config.StackCluster: {
		[]string{
			"kafka-1", "kafka-2", "kafka-3", "clickhouse-1", "clickhouse-2", "valkey-cache", "valkey-seen-1", "valkey-seen-2", "valkey-seen-3",
			"minio", "temporal", "gateway-1", "gateway-2", "ingester-1", "ingester-2", "aggregator-1", "aggregator-2",
		},
		config.Config{
			KafkaBrokers:    []string{"127.0.0.1:9092", "127.0.0.1:9094", "127.0.0.1:9096"},
			ClickHouseAddrs: []string{"127.0.0.1:9000", "127.0.0.1:9001"},
			ValkeyCacheAddr: "127.0.0.1:6379", ValkeySeenAddrs: []string{"127.0.0.1:6380", "127.0.0.1:6381", "127.0.0.1:6382"},
			TemporalAddr: "127.0.0.1:7233", S3Endpoint: "127.0.0.1:9100",
		},
	},
}

// onEachStack runs a test for the single stack and for the cluster.
func onEachStack(t *testing.T, test func(t *testing.T, s system)) {
	t.Helper()
	for stack, supervisor := range supervisors {
		t.Run(stack, func(t *testing.T) {
			s, err := newSystem(supervisor.names)
			if err != nil {
				t.Fatal(err)
			}
			test(t, s)
		})
	}
}

func TestEveryServerIsHitAndNoneOfTheStacksOwnPrograms(t *testing.T) {
	for stack, want := range map[string]string{
		config.StackLocal:   "kafka clickhouse valkey-cache valkey-seen temporal minio",
		config.StackCluster: "kafka-1 kafka-2 kafka-3 clickhouse-1 clickhouse-2 valkey-cache valkey-seen-1 valkey-seen-2 valkey-seen-3 temporal minio",
	} {
		s, err := newSystem(supervisors[stack].names)
		if got := strings.Join(s.all(), " "); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", stack, got, err, want)
		}
	}
	if _, err := newSystem([]string{"kafka", "clickhouse"}); err == nil {
		t.Error("a stack without Valkey is taken")
	}
}

func TestWhatAServerIsOneOf(t *testing.T) {
	for name, want := range map[string]string{
		"kafka": kafka, "kafka-2": kafka, "valkey-seen": valkeySeen, "valkey-seen-3": valkeySeen, "valkey-cache": valkeyCache, "gateway-1": "gateway",
	} {
		if got := partOf(name); got != want {
			t.Errorf("%s is one of %s, want %s", name, got, want)
		}
	}
}

func TestAddressesBelongToTheServersInTheirOrder(t *testing.T) {
	cluster := supervisors[config.StackCluster]
	s, err := newSystem(cluster.names)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := s.addresses(cluster.config)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"kafka-3": "127.0.0.1:9096", "clickhouse-2": "127.0.0.1:9001", "valkey-seen-2": "127.0.0.1:6381", "minio": "127.0.0.1:9100"} {
		if addresses[name] != want {
			t.Errorf("%s is at %s, want %s", name, addresses[name], want)
		}
	}
	if _, err := s.addresses(supervisors[config.StackLocal].config); err == nil {
		t.Error("the settings of another stack are taken")
	}
}

// Proxies listen each on its own port, where no program and no broker listens.
func TestNoPortIsUsedTwice(t *testing.T) {
	onEachStack(t, func(t *testing.T, s system) {
		taken := map[string]string{}
		take := func(addr, what string) {
			if other, used := taken[addr]; used {
				t.Errorf("%s is for %s and for %s", addr, other, what)
			}
			taken[addr] = what
		}
		for l, r := range s.routes(map[string]string{}) {
			take(r.listen, "the proxy from "+l.String())
			if partOf(l.server) == kafka {
				take(r.upstream, "the broker from "+l.String())
			}
		}
		for i, m := range members {
			take(blockAddr(i, listenPort), m.name)
			take(blockAddr(i, opsPort), m.name+" for operators")
		}
	})
}

// A program under fire knows no address of a server but its proxies', where there
// are any.
func TestAProgramIsToldItsProxies(t *testing.T) {
	for stack, want := range map[string]map[string]string{
		config.StackLocal: {
			"KAFKA_BROKERS": "127.0.0.1:9244", "CLICKHOUSE_ADDRS": "127.0.0.1:9320", "VALKEY_CACHE_ADDR": "127.0.0.1:9321",
			"VALKEY_SEEN_ADDR": "127.0.0.1:9322", "TEMPORAL_ADDR": "127.0.0.1:9323", "S3_ENDPOINT": "127.0.0.1:9324",
		},
		config.StackCluster: {
			"KAFKA_BROKERS": "127.0.0.1:9244,127.0.0.1:9254,127.0.0.1:9264", "CLICKHOUSE_ADDRS": "127.0.0.1:9320,127.0.0.1:9321",
			"VALKEY_CACHE_ADDR": "127.0.0.1:9322", "VALKEY_SEEN_ADDR": "direct", "TEMPORAL_ADDR": "127.0.0.1:9323", "S3_ENDPOINT": "127.0.0.1:9324",
		},
	} {
		s, err := newSystem(supervisors[stack].names)
		if err != nil {
			t.Fatal(err)
		}
		direct, told := map[string]string{}, map[string]string{}
		for name, value := range want {
			direct[config.Prefix+name], told[config.Prefix+name] = "direct", value
		}
		n := unstarted(s)
		if got := n.variables(direct, "gateway-2"); !maps.Equal(got, told) {
			t.Errorf("%s: %v, want %v", stack, got, told)
		}
		for _, l := range s.links() {
			if n.proxies[l] == nil {
				t.Errorf("%s: there is no proxy from %s", stack, l)
			}
			if stack == config.StackCluster && partOf(l.server) == valkeySeen {
				t.Errorf("%s can be hit, and has no proxy", l)
			}
		}
	}
}

func TestEveryRoleUsesPartsThatThereAre(t *testing.T) {
	for _, m := range members {
		for _, used := range m.role.uses() {
			if !slices.Contains(parts[:], used) {
				t.Errorf("%s uses %s", m.name, used)
			}
		}
	}
}
