package main

import (
	"fmt"
	"math"
	"strings"
)

const (
	secondsPerDay = 86_400
	gigabyte      = 1e9
	terabyte      = 1e12
	// flushSecondsMax is how long the flush of a minute may take: the next one
	// comes a minute later, and figures are final within one.
	flushSecondsMax = 30
	flushClicks     = 600_000 // of a minute, as flush_600k_ms is measured
)

// need is what one part needs.
type need struct {
	Part     string
	Cores    float64 // with the headroom
	MemoryGB float64 // 0: not what limits it
	DiskTB   float64
	Count    int    // instances: brokers, shards, primaries, copies
	Of       string // what Count counts, and why so many
	// Load is how much of the fewest instances there are in any case, of the size
	// that is assumed, the rate takes: the largest saturates first.
	Load float64
}

// cost is CPU in seconds a second: fixed, and for each click a second.
type cost struct{ fixed, perClick float64 }

// at is the cores that a rate takes.
func (c cost) at(rate float64) float64 { return c.fixed + c.perClick*rate }

// costOf fits a line through what the processes of a kind took at the rates of
// the curve: least squares over (rate, cores). A kind is one process, or those
// that its name and a number name (gateway-1, gateway-2).
func costOf(points []point, kind string) cost {
	var n, sx, sy, sxx, sxy float64
	for _, p := range points {
		us := 0.0
		for name, used := range p.Processes {
			if name == kind || strings.HasPrefix(name, kind+"-") {
				us += used
			}
		}
		x := p.Achieved
		y := us * x / 1e6
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	slope := (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return cost{fixed: max((sy-slope*sx)/n, 0), perClick: max(slope, 0)}
}

// plan is what each part needs at a rate.
func plan(s settings, rate float64, m measured) []need {
	mean := rate / s.Peak
	cores := func(kind string) float64 { return costOf(m.Curve.Points, kind).at(rate) / s.Headroom }
	count := func(loads ...float64) int {
		most := 1.0
		for _, load := range loads {
			most = max(most, load)
		}
		return int(math.Ceil(most))
	}
	highest := func(loads ...float64) float64 {
		most := 0.0
		for _, load := range loads {
			most = max(most, load)
		}
		return most
	}

	gateway := cores("gateway")
	kafka := cores("kafka") * float64(s.Replicas) / float64(max(m.Curve.KafkaReplicas, 1))
	kafkaTB := m.Curve.Bytes.Kafka * mean * secondsPerDay * s.KafkaDays * float64(s.Replicas) / terabyte
	partitions := count(rate / float64(s.PartitionRate))
	ingester := cores("ingester")
	seen := cores("valkey-seen")
	seenGB := m.Seen.BytesPerClick * mean * 3600 * s.ValidityHours / gigabyte
	store := cores("clickhouse")
	storeTB := m.Curve.Bytes.Store * mean * secondsPerDay * s.StoreDays / terabyte
	flush := m.Reports.Flush600kMS / 1e3 * rate * 60 / flushClicks / flushSecondsMax
	archive := m.Lake.ArchiveCores * rate / 10_000
	reconcile := m.Lake.ReconcileHourS * mean * 3600 / m.Lake.Clicks / 3600 // share of an hour that an hour's reconciliation takes
	aggregator := cores("aggregator") + archive/s.Headroom

	brokers := count(kafka/s.BrokerCores, kafkaTB/s.BrokerTB, float64(s.Replicas))
	return []need{
		{
			Part: "gateway", Cores: gateway, Count: count(gateway/s.GatewayCores, 2), Load: gateway / s.GatewayCores / 2,
			Of: fmt.Sprintf("gateways of %g cores, at least 2", s.GatewayCores),
		},
		{
			Part: "kafka", Cores: kafka, DiskTB: kafkaTB, Count: brokers, Load: highest(kafka/s.BrokerCores, kafkaTB/s.BrokerTB) / float64(s.Replicas),
			Of: fmt.Sprintf("brokers of %g cores and %g TB, %d copies; %d partitions", s.BrokerCores, s.BrokerTB, s.Replicas, max(partitions, brokers)),
		},
		{
			Part: "ingester", Cores: ingester, Count: count(ingester, 2), Load: ingester / 2,
			Of: "ingesters of a core, at least 2 and at most a partition each",
		},
		{
			Part: "seen index (valkey)", Cores: seen, MemoryGB: seenGB, Count: count(seen, seenGB/s.ValkeyGB), Load: highest(seen, seenGB/s.ValkeyGB),
			Of: fmt.Sprintf("primaries of %g GB and one core", s.ValkeyGB),
		},
		{
			Part: "clickhouse", Cores: store, DiskTB: storeTB, Count: count(store/s.ShardCores, storeTB/s.ShardTB, flush, reconcile),
			Load: highest(store/s.ShardCores, storeTB/s.ShardTB, flush, reconcile),
			Of:   fmt.Sprintf("shards of %g cores and %g TB; a flush takes %.0f %% of its %d s, a reconciliation %.0f %% of its hour, were it one", s.ShardCores, s.ShardTB, 100*flush, flushSecondsMax, 100*reconcile),
		},
		{
			Part: "aggregator", Cores: aggregator, Count: count(aggregator, 2), Load: aggregator / 2,
			Of: "aggregators of a core, at least 2; they archive",
		},
		{
			Part: "temporal", Cores: cores("temporal"), Count: 1, Load: cores("temporal") / s.GatewayCores,
			Of: "cluster: some workflows a minute at any rate",
		},
		{
			Part: "lake (s3)", Cores: cores("minio"), DiskTB: m.Curve.Bytes.Lake * mean * secondsPerDay * s.LakeDays / terabyte, Count: 1,
			Of: "bucket; a service, or as many servers as the disk needs",
		},
	}
}

// first is the part that needs more than its fewest instances first when the rate
// grows, but for the lake, which is bought by size.
func first(needs []need) need {
	var most need
	for _, n := range needs {
		if n.Load > most.Load {
			most = n
		}
	}
	return most
}
