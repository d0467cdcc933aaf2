package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestRatesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]float64{"10000": 1e4, "10k": 1e4, "10K": 1e4, "1.5M": 1.5e6, "10_000": 1e4, "10,000": 1e4, " 1 ": 1} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "ten", "-1", "0", "1G", "1e12", "NaN", "0.5"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// curveOf is points on a line: so many cores, and so many µs a click.
func curveOf(fixed, us float64, kind ...string) []point {
	var points []point
	for _, rate := range []float64{1000, 5000, 15000} {
		p := point{Rate: rate, Achieved: rate, Processes: map[string]float64{}}
		for _, name := range kind {
			p.Processes[name] = (fixed*1e6/rate + us) / float64(len(kind))
		}
		points = append(points, p)
	}
	return points
}

func TestACostIsALineThroughTheCurve(t *testing.T) {
	for name, kinds := range map[string][]string{"one process": {"gateway"}, "two of a kind": {"gateway-1", "gateway-2"}} {
		got := costOf(curveOf(0.2, 40, kinds...), "gateway")
		if math.Abs(got.fixed-0.2) > 1e-9 || math.Abs(got.perClick-40e-6) > 1e-12 {
			t.Errorf("%s: %+v, want 0.2 cores and 40 µs", name, got)
		}
	}
	if got := costOf(curveOf(0.2, 40, "gateway"), "gate"); got != (cost{}) {
		t.Errorf("another process's name: %+v", got)
	}
}

func usual() settings {
	return settings{
		Headroom: 0.5, Replicas: 3, KafkaDays: 7, StoreDays: 35, LakeDays: 400, ValidityHours: 24, Peak: 2, PartitionRate: 10_000,
		GatewayCores: 8, ShardCores: 16, ShardTB: 4, BrokerCores: 8, BrokerTB: 4, ValkeyGB: 32,
	}
}

func example() measured {
	var m measured
	m.Curve.Points = curveOf(0, 40, "gateway")
	m.Curve.Bytes.Kafka, m.Curve.Bytes.Store, m.Curve.Bytes.Lake = 100, 30, 40
	m.Seen.BytesPerClick = 10
	m.Lake.ArchiveCores, m.Lake.ReconcileHourS, m.Lake.Clicks = 0.02, 36, 36e6
	m.Reports.Flush600kMS = 900
	return m
}

func needOf(t *testing.T, needs []need, part string) need {
	t.Helper()
	for _, n := range needs {
		if n.Part == part {
			return n
		}
	}
	t.Fatalf("there is no part %q", part)
	return need{}
}

func TestWhatARateNeeds(t *testing.T) {
	needs := plan(usual(), 1e6, example())
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want/1000 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	gateway := needOf(t, needs, "gateway")
	near("gateways' cores: 40 µs of a million clicks, half busy", gateway.Cores, 80)
	near("gateways of 8 cores", float64(gateway.Count), 10)
	kafka := needOf(t, needs, "kafka")
	near("Kafka's disk: 100 bytes, half a million a second, 7 days, 3 copies", kafka.DiskTB, 100*0.5e6*86400*7*3/1e12)
	if !strings.Contains(kafka.Of, "100 partitions") {
		t.Errorf("Kafka: %q, want 100 partitions", kafka.Of)
	}
	seen := needOf(t, needs, "seen index (valkey)")
	near("the seen index: 10 bytes, half a million a second, a day", seen.MemoryGB, 432)
	near("primaries of 32 GB", float64(seen.Count), 14)
	store := needOf(t, needs, "clickhouse")
	near("ClickHouse's disk: 30 bytes, half a million a second, 35 days", store.DiskTB, 30*0.5e6*86400*35/1e12)
	near("shards of 4 TB", float64(store.Count), 12)
	if part := first(needs).Part; part != "seen index (valkey)" {
		t.Errorf("%s is first, want the seen index: 13.5 primaries, and 7.6 times three brokers", part)
	}
}

// What brokers of a cluster took was for all copies already.
func TestCopiesThatWereMeasuredAreNotCountedAgain(t *testing.T) {
	one, three := example(), example()
	one.Curve.Points = curveOf(0, 10, "kafka")
	three.Curve.Points, three.Curve.KafkaReplicas = curveOf(0, 30, "kafka-1", "kafka-2", "kafka-3"), 3
	want := needOf(t, plan(usual(), 1e6, one), "kafka").Cores
	if got := needOf(t, plan(usual(), 1e6, three), "kafka").Cores; want == 0 || math.Abs(got-want) > want/1000 {
		t.Errorf("%v cores by a measurement of three copies, %v by one of one", got, want)
	}
}

func TestASmallRateStillHasTwoOfWhatMustNotStandStill(t *testing.T) {
	needs := plan(usual(), 10, example())
	for part, want := range map[string]int{"gateway": 2, "ingester": 2, "aggregator": 2, "kafka": 3, "clickhouse": 1} {
		if got := needOf(t, needs, part).Count; got != want {
			t.Errorf("%d of %s, want %d", got, part, want)
		}
	}
}

func TestAFlushThatTakesTooLongNeedsMoreShards(t *testing.T) {
	s, m := usual(), example()
	s.ShardTB = 1e6
	m.Reports.Flush600kMS = 3000 // a hundred times as many clicks: 300 s of the 30
	if got := needOf(t, plan(s, 1e6, m), "clickhouse").Count; got != 10 {
		t.Errorf("%d shards, want 10", got)
	}
}

func TestWrongAssumptionsAreSaidInWords(t *testing.T) {
	for want, change := range map[string]func(*settings){
		"HEADROOM is a share":           func(s *settings) { s.Headroom = 2 },
		"PEAK must be at least 1":       func(s *settings) { s.Peak = 0.5 },
		"SHARD_TB must be more than 0":  func(s *settings) { s.ShardTB = 0 },
		"STORE_DAYS must be more than ": func(s *settings) { s.StoreDays = -1 },
	} {
		s := usual()
		change(&s)
		if err := s.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := usual().check(); err != nil {
		t.Error(err)
	}
}

func TestTheTableNamesWhatIsMeasuredAndWhatIsNot(t *testing.T) {
	var out bytes.Buffer
	m := example()
	m.Curve.Date = "2026-01-01T00:00:00Z"
	show(&out, usual(), 1e5, m, plan(usual(), 1e5, m), time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
	for _, want := range []string{"100000 clicks/s at the peak, 50000 on average", "First to need another instance: ", "OLD", "reports.json is missing", "Assumed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
