package kafka

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

func newProducer(t *testing.T, c config.Config) *Producer {
	t.Helper()
	if c.ProduceTimeout == 0 {
		c.ProduceTimeout = 10 * time.Second
	}
	producer, err := NewProducer(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.client.Close() })
	return producer
}

func TestProducedClickIsWhereItsAdSays(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		producer := newProducer(t, c)
		for want := range int64(3) {
			sent := someClick(t)
			sent.AdID = 99 // one ad without fan-out: one partition
			before := time.Now()
			position, at, err := producer.Produce(t.Context(), click.Routed{Click: sent, FanOut: 1})
			if err != nil {
				t.Fatal(err)
			}
			if partition := click.Partition(99, sent.Impression, 1, c.Partitions); position != (click.Position{Partition: partition, Offset: want}) {
				t.Errorf("stands at %+v, want partition %d, offset %d", position, partition, want)
			}
			if at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("appended at %v, sent at %v", at, before)
			}
		}
		if err := producer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMissingOrOtherTopicIsSaidInWords(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		if err := newProducer(t, c).CheckTopic(t.Context()); !errors.Is(err, click.ErrNotFound) {
			t.Errorf("missing topic: %v", err)
		}
		setUp(t, c)
		if err := newProducer(t, c).CheckTopic(t.Context()); err != nil {
			t.Errorf("topic as configured: %v", err)
		}
		c.Partitions = 2
		err := newProducer(t, c).CheckTopic(t.Context())
		if err == nil || !strings.Contains(err.Error(), "has 3 partitions but CLICKLEDGER_PARTITIONS is 2") {
			t.Errorf("more partitions than configured: %v", err)
		}
		c.Partitions = 5
		err = newProducer(t, c).CheckTopic(t.Context())
		if !errors.Is(err, click.ErrFewerPartitions) || !strings.Contains(err.Error(), "has 3 partitions, CLICKLEDGER_PARTITIONS is 5") {
			t.Errorf("fewer partitions than configured: %v", err)
		}
	})
}

func TestKafkaAwayIsUnavailableInTime(t *testing.T) {
	c := config.Config{Namespace: "away", KafkaBrokers: []string{"127.0.0.1:1"}, Partitions: 3, ProduceTimeout: 200 * time.Millisecond}
	producer := newProducer(t, c)
	began := time.Now()
	_, _, err := producer.Produce(t.Context(), click.Routed{Click: someClick(t), FanOut: 1})
	if !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, click.ErrUnavailable)
	}
	if waited := time.Since(began); waited > 2*time.Second {
		t.Errorf("waited %v", waited)
	}
}

func TestProducerRecoversByItself(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "test.clicks"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c := config.Config{Namespace: "test", KafkaBrokers: cluster.ListenAddrs(), Partitions: 3, ProduceTimeout: 300 * time.Millisecond}
	producer := newProducer(t, c)
	var refusing atomic.Bool
	refusing.Store(true)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, errors.New("connection cut"), refusing.Load()
	})
	if _, _, err := producer.Produce(t.Context(), click.Routed{Click: someClick(t), FanOut: 1}); !errors.Is(err, click.ErrUnavailable) {
		t.Fatalf("got %v, want %v", err, click.ErrUnavailable)
	}
	refusing.Store(false)
	deadline := time.Now().Add(5 * time.Second)
	for err = errors.New("not tried"); err != nil && time.Now().Before(deadline); {
		_, _, err = producer.Produce(t.Context(), click.Routed{Click: someClick(t), FanOut: 1})
	}
	if err != nil {
		t.Errorf("still refused five seconds after Kafka is back: %v", err)
	}
}

func TestFullBufferRefusesAtOnce(t *testing.T) {
	c := config.Config{
		Namespace: "away", KafkaBrokers: []string{"127.0.0.1:1"}, Partitions: 3, ProduceTimeout: time.Minute, ProduceLinger: 60 * time.Millisecond,
	}
	producer := newProducer(t, c)
	for range bufferedRecordsMax {
		producer.client.TryProduce(t.Context(), &kgo.Record{Topic: c.ClicksTopic()}, func(*kgo.Record, error) {})
	}
	began := time.Now()
	_, _, err := producer.Produce(t.Context(), click.Routed{Click: someClick(t), FanOut: 1})
	if !errors.Is(err, click.ErrUnavailable) || !errors.Is(err, kgo.ErrMaxBuffered) || time.Since(began) > time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func TestRetryWaitsStayWithinTheirBounds(t *testing.T) {
	for fails, want := range map[int]time.Duration{0: retryBackoffMin, 1: retryBackoffMin, 2: 2 * retryBackoffMin, 1000: retryBackoffMax} {
		if got := retryBackoff(fails); got != want {
			t.Errorf("after %d failures %v, want %v", fails, got, want)
		}
	}
}
