// Command capacity says what a rate of clicks needs of each part of the system,
// by what the benches measured on this machine: the latest .local/reports.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// settings are what is assumed where nothing is measured; --help shows them.
type settings struct {
	Rate string `arg:"" help:"Clicks per second: 10000, 10k, 1.5M."`

	Headroom      float64 `env:"HEADROOM" default:"0.5" help:"Share of the processors that may be busy."`
	Replicas      int     `env:"REPLICAS" default:"3" help:"Copies of what Kafka keeps."`
	KafkaDays     float64 `env:"KAFKA_DAYS" default:"7" help:"Days that Kafka keeps clicks."`
	StoreDays     float64 `env:"STORE_DAYS" default:"35" help:"Days that ClickHouse keeps raw clicks."`
	LakeDays      float64 `env:"LAKE_DAYS" default:"400" help:"Days that the lake keeps clicks."`
	ValidityHours float64 `env:"VALIDITY_HOURS" default:"24" help:"Hours that a click token counts: what the seen index remembers."`
	Peak          float64 `env:"PEAK" default:"2" help:"How many times the mean the rate that is asked for is: disks and the seen index fill at the mean."`

	PartitionRate int     `env:"PARTITION_RATE" default:"10000" help:"Clicks a second of one partition of the clicks topic."`
	GatewayCores  float64 `env:"GATEWAY_CORES" default:"8" help:"Processors of one gateway."`
	ShardCores    float64 `env:"SHARD_CORES" default:"16" help:"Processors of one ClickHouse shard."`
	ShardTB       float64 `env:"SHARD_TB" default:"4" help:"Disk of one ClickHouse shard, TB."`
	BrokerCores   float64 `env:"BROKER_CORES" default:"8" help:"Processors of one Kafka broker."`
	BrokerTB      float64 `env:"BROKER_TB" default:"4" help:"Disk of one Kafka broker, TB."`
	ValkeyGB      float64 `env:"VALKEY_GB" default:"32" help:"Memory of one Valkey primary for the seen index, GB."`
}

func (s settings) check() error {
	for name, value := range map[string]float64{
		"HEADROOM": s.Headroom, "REPLICAS": float64(s.Replicas), "KAFKA_DAYS": s.KafkaDays, "STORE_DAYS": s.StoreDays, "LAKE_DAYS": s.LakeDays,
		"VALIDITY_HOURS": s.ValidityHours, "PEAK": s.Peak, "PARTITION_RATE": float64(s.PartitionRate), "GATEWAY_CORES": s.GatewayCores,
		"SHARD_CORES": s.ShardCores, "SHARD_TB": s.ShardTB, "BROKER_CORES": s.BrokerCores, "BROKER_TB": s.BrokerTB, "VALKEY_GB": s.ValkeyGB,
	} {
		if value <= 0 {
			return fmt.Errorf("%s must be more than 0", name)
		}
	}
	if s.Headroom > 1 {
		return fmt.Errorf("HEADROOM is a share: at most 1")
	}
	if s.Peak < 1 {
		return fmt.Errorf("PEAK must be at least 1: the peak is not less than the mean")
	}
	return nil
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("capacity"), kong.UsageOnError(),
		kong.Description("What a rate of clicks needs of each part, by the latest reports in .local/reports. docs/capacity.md has the formulas."))
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

func run(s settings) error {
	rate, err := parseRate(s.Rate)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	m, err := readReports()
	if err != nil {
		return err
	}
	show(os.Stdout, s, rate, m, plan(s, rate, m), time.Now())
	return nil
}

const rateMax = 100_000_000

// parseRate reads 10000, 10_000, 10,000, 10k and 1.5M.
func parseRate(text string) (float64, error) {
	digits, factor := strings.NewReplacer("_", "", ",", "").Replace(strings.TrimSpace(text)), 1.0
	switch {
	case strings.HasSuffix(strings.ToLower(digits), "k"):
		digits, factor = digits[:len(digits)-1], 1e3
	case strings.HasSuffix(strings.ToLower(digits), "m"):
		digits, factor = digits[:len(digits)-1], 1e6
	}
	rate, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(rate*factor >= 1 && rate*factor <= rateMax) { // NaN is neither
		return 0, fmt.Errorf("the rate %q must be clicks a second from 1 to 100M, such as 10000, 10k or 1.5M", text)
	}
	return rate * factor, nil
}
