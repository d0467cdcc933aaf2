package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/s3"
)

// bytesPerClick is what a click takes on disk, in one copy, of all that the
// running system keeps; 0 where it keeps nothing yet.
type bytesPerClick struct {
	Kafka float64 `json:"kafka"` // of the clicks topic
	Store float64 `json:"store"` // of a raw click in ClickHouse
	// Figures are the bytes of a row of figures per minute.
	Figures float64 `json:"figure"`
	Lake    float64 `json:"lake"` // of the newest archive window
}

func measureBytes(ctx context.Context, c config.Config) (b bytesPerClick, err error) {
	if b.Kafka, err = kafkaBytes(ctx, c); err != nil {
		return b, err
	}
	if b.Store, err = storeBytes(ctx, c, "clicks_local"); err != nil {
		return b, err
	}
	if b.Figures, err = storeBytes(ctx, c, "clicks_per_minute_local"); err != nil {
		return b, err
	}
	b.Lake, err = lakeBytes(ctx, c)
	return b, err
}

// kafkaBytes reads the sizes of the topic's leaders and how many records they hold.
func kafkaBytes(ctx context.Context, c config.Config) (float64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.KafkaBrokers...))
	if err != nil {
		return 0, fmt.Errorf("measure kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topic := c.ClicksTopic()
	details, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("measure kafka: %w", err)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, details.TopicsSet())
	if err != nil {
		return 0, fmt.Errorf("measure kafka: %w", err)
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("measure kafka: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("measure kafka: %w", err)
	}
	records, bytes := int64(0), int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			records += end.Offset - start.Offset
		}
	})
	dirs.Each(func(broker kadm.DescribedLogDir) {
		broker.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if details[topic].Partitions[p.Partition].Leader == broker.Broker {
				bytes += p.Size
			}
		})
	})
	return ratio(bytes, records), nil
}

// storeBytes is the compressed bytes of a row, over all shards.
func storeBytes(ctx context.Context, c config.Config, table string) (float64, error) {
	bytes, rows := int64(0), int64(0)
	for _, addr := range c.ClickHouseAddrs {
		conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, Auth: clickhouse.Auth{Username: c.ClickHouseUser, Password: c.ClickHousePassword}})
		if err != nil {
			return 0, fmt.Errorf("measure clickhouse: %w", err)
		}
		var b, r int64
		err = conn.QueryRow(ctx, "SELECT toInt64(sum(bytes_on_disk)), toInt64(sum(rows)) FROM system.parts WHERE active AND database = ? AND table = ?", c.Database(), table).Scan(&b, &r)
		_ = conn.Close()
		if err != nil {
			return 0, fmt.Errorf("measure clickhouse: %w", err)
		}
		bytes, rows = bytes+b, rows+r
	}
	return ratio(bytes, rows), nil
}

func lakeBytes(ctx context.Context, c config.Config) (float64, error) {
	lake, err := s3.Open(c)
	if err != nil {
		return 0, err
	}
	last, err := lake.LastManifest(ctx)
	if errors.Is(err, click.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("measure the lake: %w", err)
	}
	bytes := int64(0)
	for _, r := range last.Ranges {
		for _, o := range r.Objects {
			bytes += o.Bytes
		}
	}
	return ratio(bytes, last.Rows()), nil
}

func ratio(bytes, rows int64) float64 {
	if rows == 0 {
		return 0
	}
	return rounded(float64(bytes) / float64(rows))
}
