package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const waitMax = 20 * time.Second

func newConsumer(t *testing.T, c config.Config) *Consumer {
	t.Helper()
	consumer, err := NewConsumer(c, slog.New(slog.DiscardHandler), UsualMembership(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consumer.Leave)
	return consumer
}

// produce sends n clicks and returns them.
func produce(t *testing.T, c config.Config, n int) []click.Placed {
	t.Helper()
	producer := newProducer(t, c)
	sent := make([]click.Placed, n)
	for i := range sent {
		clicked := someClick(t)
		clicked.AdID = int64(i + 1)
		position, _, err := producer.Produce(t.Context(), click.Routed{Click: clicked, FanOut: 1})
		if err != nil {
			t.Fatal(err)
		}
		sent[i] = click.Placed{Click: clicked, Position: position}
	}
	return sent
}

// gather collects batches until n records came.
func gather(t *testing.T, consumer *Consumer, n int) (clicks []click.Placed, dead []click.DeadLetter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	for len(clicks)+len(dead) < n {
		more, moreDead, err := consumer.Gather(ctx, time.Now())
		if err != nil {
			t.Fatalf("gathered %d of %d: %v", len(clicks)+len(dead), n, err)
		}
		clicks, dead = append(clicks[:0:0], more...), append(dead[:0:0], moreDead...)
	}
	return clicks, dead
}

func byPosition(a, b click.Placed) int {
	return int(a.Partition-b.Partition)*1000 + int(a.Offset-b.Offset)
}

func TestGatheredClicksAreThoseProduced(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		sent := produce(t, c, 30)
		got, dead := gather(t, newConsumer(t, c), 30)
		slices.SortFunc(sent, byPosition)
		slices.SortFunc(got, byPosition)
		if !slices.Equal(got, sent) || len(dead) > 0 {
			t.Errorf("gathered %d clicks and %d dead letters, sent %d", len(got), len(dead), len(sent))
		}
	})
}

func TestUncommittedBatchIsReadAgainAndACommittedOneIsNot(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		produce(t, c, 20)
		first := newConsumer(t, c)
		gather(t, first, 20)
		first.Leave()

		second := newConsumer(t, c)
		if again, _ := gather(t, second, 20); len(again) != 20 {
			t.Errorf("read %d of 20 again", len(again))
		}
		if err := second.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		second.Leave()

		want := produce(t, c, 1)
		if got, _ := gather(t, newConsumer(t, c), 1); !slices.Equal(got, want) {
			t.Errorf("read %d clicks after the commit, want the new one", len(got))
		}
	})
}

func TestOnlyTheBatchIsCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin := setUp(t, c)
		produce(t, c, 20)
		consumer := newConsumer(t, c)
		gather(t, consumer, 20)
		produce(t, c, 10) // came after the batch
		if err := consumer.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		lags, err := admin.Lag(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var committed, end int64
		for _, lag := range lags {
			committed, end = committed+lag.Committed, end+lag.End
		}
		if committed != 20 || end != 30 {
			t.Errorf("committed %d of %d, want 20 of 30", committed, end)
		}
	})
}

func TestDeadLetterKeepsTheRecordAndSaysWhy(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		appendRecord(t, c, 2)
		appendRecord(t, c, 2)
		consumer := newConsumer(t, c)
		_, dead := gather(t, consumer, 2)
		if err := consumer.Bury(t.Context(), dead[1:]); err != nil {
			t.Fatal(err)
		}
		buried := readOne(t, c, c.DeadTopic())
		headers := map[string]string{}
		for _, header := range buried.Headers {
			headers[header.Key] = string(header.Value)
		}
		if string(buried.Value) != "click" || headers[headerReason] != "the value is not a click record" ||
			headers[headerPartition] != "2" || headers[headerOffset] != "1" || headers[headerTopic] != c.ClicksTopic() ||
			headers[headerAppendedAt] == "" {
			t.Errorf("buried %q with %v", buried.Value, headers)
		}
		if err := consumer.Bury(t.Context(), []click.DeadLetter{{Position: click.Position{Partition: 2, Offset: 77}}}); err == nil {
			t.Error("a record that is not of the batch was buried")
		}
	})
}

// readOne is the first record of a topic.
func readOne(t *testing.T, c config.Config, topic string) *kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(append(commonOptions(c), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil || fetches.NumRecords() == 0 {
		t.Fatalf("read %s: %v", topic, err)
	}
	return fetches.Records()[0]
}

// A member of a name that was killed comes back: nobody waits for the session of
// its former self, and that can commit nothing any more.
func TestMemberOfANameTakesItsOwnPlaceAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		named := func() *Consumer {
			consumer, err := NewConsumer(c, slog.New(slog.DiscardHandler), UsualMembership("host.8091"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(consumer.Leave)
			return consumer
		}
		produce(t, c, 9)
		former := named()
		gather(t, former, 9) // and never more is heard of it
		began := time.Now()
		again := named()
		gather(t, again, 9)
		if took := time.Since(began); took >= sessionTimeout {
			t.Errorf("the records came after %v, as late as without a name", took)
		}
		if err := former.Commit(t.Context()); err == nil {
			t.Error("the former self committed")
		}
		former.Leave() // nor does its leaving put its successor out
		if err := again.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		again.Release()
		again.Leave()
		other := newConsumer(t, c)
		produce(t, c, 9)
		gather(t, other, 9)
		if took := time.Since(began); took >= sessionTimeout {
			t.Errorf("others had all partitions after %v, although it left in good order", took)
		}
	})
}

func TestPartitionsAreSharedAndHandedOverAfterTheBatch(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		first := newConsumer(t, c)
		produce(t, c, 9)
		gather(t, first, 9)
		second := newConsumer(t, c)
		until(t, "the group hears of the second", func() bool { return preparing(t, c) })
		if held := len(progress(t, first)); held != 3 {
			t.Errorf("the first holds %d partitions in the middle of its batch, want all 3", held)
		}
		if err := first.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		first.Release()
		until(t, "partitions are shared", func() bool {
			return len(progress(t, first)) > 0 && len(progress(t, second)) > 0 && len(progress(t, first))+len(progress(t, second)) == 3
		})
		first.Leave()
		until(t, "the second has all", func() bool { return len(progress(t, second)) == 3 })
	})
}

// preparing reports whether the group is about to share its partitions anew.
func preparing(t *testing.T, c config.Config) bool {
	t.Helper()
	admin, err := NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	described, err := admin.admin.DescribeGroups(t.Context(), c.IngesterGroup())
	if err != nil {
		t.Fatal(err)
	}
	return described[c.IngesterGroup()].State == "PreparingRebalance"
}

func progress(t *testing.T, consumer *Consumer) []click.PartitionProgress {
	t.Helper()
	held, _, err := consumer.Progress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// until waits for a condition with a deadline.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(waitMax)
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestLeavingWhileKafkaIsAwayEnds(t *testing.T) {
	consumer := newConsumer(t, config.Config{Namespace: "away", KafkaBrokers: []string{"127.0.0.1:1"}, Partitions: 3})
	began := time.Now()
	consumer.Leave()
	if took := time.Since(began); took > 2*leaveTimeout {
		t.Errorf("took %v", took)
	}
}

// A record may be as large as the topic takes, with no room for the headers of
// a dead letter; it must not hold up its partition for ever.
func TestDeadLetterOfTheLargestRecordIsCut(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		const topicTakes = 1_048_000
		client, err := kgo.NewClient(append(commonOptions(c), kgo.ProducerBatchMaxBytes(topicTakes+500),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		large := &kgo.Record{Topic: c.ClicksTopic(), Partition: 1, Key: make([]byte, topicTakes/2), Value: make([]byte, topicTakes/2)}
		if err := client.ProduceSync(t.Context(), large).FirstErr(); err != nil {
			t.Fatal(err)
		}
		consumer := newConsumer(t, c)
		_, dead := gather(t, consumer, 1)
		if err := consumer.Bury(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		buried := readOne(t, c, c.DeadTopic())
		headers := map[string]string{}
		for _, header := range buried.Headers {
			headers[header.Key] = string(header.Value)
		}
		if len(buried.Value) == 0 || headers[headerBytes] != strconv.Itoa(topicTakes) {
			t.Errorf("buried %d bytes with %v", len(buried.Value), headers)
		}
	})
}

// The loss is met by a member that waits for records, on a stream that stays
// idle: the group must be able to share its partitions all the same.
func TestLostRecordsOnAnIdleStreamDoNotHoldUpTheGroup(t *testing.T) {
	c, cluster := fakeCluster(t)
	admin := setUp(t, c)
	said := &sayings{said: make(chan string, 100)}
	first, err := NewConsumer(c, slog.New(said), UsualMembership(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Leave)
	appendRecord(t, c, 1)
	gather(t, first, 1)
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Release()
	loseTail(t, cluster, admin, first)

	waiting, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := first.Gather(waiting, time.Now())
		ended <- err
	}()
	defer func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting ended with %v", err)
		}
	}()
	select {
	case <-said.said:
	case <-time.After(waitMax):
		t.Fatal("the loss was not said")
	}
	second := newConsumer(t, c)
	until(t, "the second is given a partition", func() bool { return len(progress(t, second)) > 0 })
}

// loseTail has the broker say once that a consumer of one record is beyond what
// there is, as after the loss of a log's end.
func loseTail(t *testing.T, cluster *kfake.Cluster, admin *Admin, consumer *Consumer) {
	t.Helper()
	const partition = 1
	paused := map[string][]int32{admin.config.ClicksTopic(): {partition}}
	consumer.client.PauseFetchPartitions(paused) // so that its next fetch names the partition
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: admin.config.ClicksTopic(), Partition: partition, At: 1})
	if _, err := admin.admin.DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fetch := request.(*kmsg.FetchRequest)
		for _, topic := range fetch.Topics {
			for _, p := range topic.Partitions {
				if p.Partition == partition {
					return outOfRange(fetch, topic, partition), nil, true
				}
			}
		}
		cluster.KeepControl()
		return nil, nil, false
	})
	consumer.client.ResumeFetchPartitions(paused)
}

func outOfRange(request *kmsg.FetchRequest, topic kmsg.FetchRequestTopic, partition int32) kmsg.Response {
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.Partition, answer.ErrorCode = partition, kerr.OffsetOutOfRange.Code
	of := kmsg.NewFetchResponseTopic()
	of.Topic, of.TopicID, of.Partitions = topic.Topic, topic.TopicID, []kmsg.FetchResponseTopicPartition{answer}
	response := request.ResponseKind().(*kmsg.FetchResponse)
	response.SessionID, response.Topics = request.SessionID, []kmsg.FetchResponseTopic{of}
	return response
}

// sayings is a log that hands over what is said.
type sayings struct{ said chan string }

func (s *sayings) Enabled(context.Context, slog.Level) bool { return true }
func (s *sayings) Handle(_ context.Context, r slog.Record) error {
	s.said <- r.Message
	return nil
}
func (s *sayings) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *sayings) WithGroup(string) slog.Handler      { return s }
