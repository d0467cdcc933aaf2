package kafka

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// fakeKafka is an in-process broker; realKafka the local stack's.
func fakeKafka(t *testing.T) config.Config {
	t.Helper()
	c, _ := fakeCluster(t)
	return c
}

func fakeCluster(t *testing.T) (config.Config, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return config.Config{
		Namespace: "test_admin", KafkaBrokers: cluster.ListenAddrs(), KafkaReplicas: 1, Partitions: 3,
	}, cluster
}

func realKafka(t *testing.T) config.Config {
	t.Helper()
	c := stacktest.Config(t)
	c.Partitions = 3
	stacktest.Cleanup(t, "topics", func(ctx context.Context) error {
		admin, err := NewAdmin(c)
		if err != nil {
			return err
		}
		defer admin.Close()
		return admin.Drop(ctx)
	})
	return c
}

func onBoth(t *testing.T, test func(*testing.T, config.Config)) {
	t.Run("fake", func(t *testing.T) { test(t, fakeKafka(t)) })
	t.Run("real", func(t *testing.T) { test(t, realKafka(t)) })
}

func setUp(t *testing.T, c config.Config) *Admin {
	t.Helper()
	admin, err := NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if err := admin.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return admin
}

// appendRecord appends one record and returns the broker's time of it.
func appendRecord(t *testing.T, c config.Config, partition int32) time.Time {
	t.Helper()
	client, err := kgo.NewClient(append(commonOptions(c), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	record := &kgo.Record{Topic: c.ClicksTopic(), Partition: partition, Value: []byte("click")}
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return record.Timestamp
}

func commit(t *testing.T, a *Admin, partition int32, offset int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: a.config.ClicksTopic(), Partition: partition, At: offset, LeaderEpoch: -1})
	if _, err := a.admin.CommitOffsets(t.Context(), a.config.IngesterGroup(), offsets); err != nil {
		t.Fatal(err)
	}
}

func progressOf(t *testing.T, a *Admin, notBefore time.Time) []click.PartitionProgress {
	t.Helper()
	topicID, progress, err := a.Progress(t.Context(), notBefore)
	if err != nil {
		t.Fatal(err)
	}
	if topicID == "" {
		t.Error("no topic id")
	}
	return progress
}

func TestProgressRequiresWhatWasAppendedBefore(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin := setUp(t, c)
		appendRecord(t, c, 0)
		appendRecord(t, c, 0)
		acked := time.Now()
		for !time.Now().After(acked.Add(2 * time.Millisecond)) { // append times are milliseconds: the next has another
		}
		third := appendRecord(t, c, 0)
		appendRecord(t, c, 1)
		commit(t, admin, 0, 2)

		got := progressOf(t, admin, third)
		want := []click.PartitionProgress{
			{Partition: 0, Committed: 2, Required: 2},
			{Partition: 1, Committed: 0, Required: 0}, // its one record came later, nothing is committed
			{Partition: 2, Committed: 0, Required: 0}, // idle
		}
		if !slices.Equal(got, want) || !click.Sealable(got) {
			t.Errorf("progress is %v, want %v", got, want)
		}
		got = progressOf(t, admin, time.Now().Add(time.Hour))
		want[0].Required, want[1].Required = 3, 1 // nothing is that late: the end
		if !slices.Equal(got, want) || click.Sealable(got) {
			t.Errorf("progress is %v, want %v", got, want)
		}
	})
}

func TestLagIsFromTheCommitToTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin := setUp(t, c)
		appendRecord(t, c, 2)
		appendRecord(t, c, 2)
		commit(t, admin, 2, 1)
		lag, err := admin.Lag(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := []PartitionLag{{0, 0, 0}, {1, 0, 0}, {2, 1, 2}}; !slices.Equal(lag, want) {
			t.Errorf("lag is %v, want %v", lag, want)
		}
	})
}

func TestSetupTwiceCreatesOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin, err := NewAdmin(c)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		for _, want := range [][]string{{c.ClicksTopic(), c.DeadTopic(), c.FilteredTopic()}, nil} {
			created, err := admin.EnsureTopics(t.Context())
			if err != nil || !slices.Equal(created, want) {
				t.Errorf("created %v, %v; want %v", created, err, want)
			}
		}
	})
}

func TestSetupRefusesATopicThatDiffers(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin := setUp(t, c)
		other := *admin
		other.config.Partitions = 5
		if err := other.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "has 3 partitions") {
			t.Errorf("other partition count: %v", err)
		}
		value := "CreateTime"
		_, err := admin.admin.AlterTopicConfigs(t.Context(),
			[]kadm.AlterConfig{{Name: timestampConfig, Value: &value}}, c.ClicksTopic())
		if err != nil {
			t.Fatal(err)
		}
		err = admin.await(t.Context(), "see the other clock", func(ctx context.Context) (bool, error) {
			err := admin.Setup(ctx) // a broker acknowledges a change before it acts by it
			return err != nil && strings.Contains(err.Error(), appendTime), nil
		})
		if err != nil {
			t.Errorf("other clock: %v", err)
		}
	})
}
