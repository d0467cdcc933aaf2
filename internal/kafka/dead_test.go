package kafka

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

// sendTo appends a record to a partition as it is.
func sendTo(t *testing.T, c config.Config, record *kgo.Record) *kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(append(commonOptions(c), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return record
}

// buryAll lets an ingester bury what it cannot read.
func buryAll(t *testing.T, c config.Config, n int) {
	t.Helper()
	consumer := newConsumer(t, c)
	_, dead := gather(t, consumer, n)
	if len(dead) != n {
		t.Fatalf("%d dead letters, want %d", len(dead), n)
	}
	if err := consumer.Bury(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
}

func TestDeadLettersAreReadInPagesAndStayAsTheyAre(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin := setUp(t, c)
		if letters, next, end, err := admin.DeadLetters(t.Context(), 0, 10); err != nil || len(letters) != 0 || next != end {
			t.Fatalf("of an empty topic: %v, %d, %d, %v", letters, next, end, err)
		}
		for i := range 5 {
			sendTo(t, c, &kgo.Record{Topic: c.ClicksTopic(), Partition: 1, Key: []byte("key"), Value: []byte{255, byte(i)}})
		}
		buryAll(t, c, 5)
		for range 2 { // reading takes nothing away
			var values []byte
			for from, pages := int64(0), 1; ; pages++ {
				letters, next, end, err := admin.DeadLetters(t.Context(), from, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range letters {
					if l.Partition != 1 || l.Topic != c.ClicksTopic() || string(l.Key) != "key" || l.Reason == "" || l.AppendedAt.IsZero() || l.CutOff() {
						t.Errorf("read %+v", l)
					}
					values = append(values, l.Value[1])
				}
				if from = next; next == end {
					if pages != 3 {
						t.Errorf("%d pages", pages)
					}
					break
				}
			}
			if !bytes.Equal(values, []byte{0, 1, 2, 3, 4}) {
				t.Errorf("read %v", values)
			}
		}
	})
}

func TestReplayAppendsTheOriginalToItsPartition(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		admin := setUp(t, c)
		large := bytes.Repeat([]byte{255}, deadPartBytesMax+100)
		for _, value := range [][]byte{{255, 1}, large} {
			sent := sendTo(t, c, &kgo.Record{Topic: c.ClicksTopic(), Partition: 2, Key: []byte("k"), Value: value})
			letter := buriedOf(deadRecord(c.DeadTopic(), sent, "bad"))
			if letter.CutOff() != (len(value) > deadPartBytesMax) {
				t.Errorf("cut off: %v", letter.CutOff())
			}
			if letter.CutOff() { // the broker dated it: its own time, not the producer's
				records, err := admin.readRecords(t.Context(), c.ClicksTopic(), 2, sent.Offset, sent.Offset+1, 1)
				if err != nil {
					t.Fatal(err)
				}
				letter.AppendedAt = records[0].Timestamp
			}
			at, err := admin.Replay(t.Context(), letter)
			if err != nil {
				t.Fatal(err)
			}
			records, err := admin.readRecords(t.Context(), c.ClicksTopic(), 2, at.Offset, at.Offset+1, 1)
			if err != nil || at.Partition != 2 || at.Offset <= sent.Offset || len(records) != 1 ||
				!bytes.Equal(records[0].Value, value) || string(records[0].Key) != "k" {
				t.Errorf("replayed to %+v, %v", at, err)
			}
		}
	})
}

func TestALetterWithoutItsOriginalIsNotReplayed(t *testing.T) {
	c := fakeKafka(t)
	admin := setUp(t, c)
	sent := sendTo(t, c, &kgo.Record{Topic: c.ClicksTopic(), Partition: 0, Value: bytes.Repeat([]byte{1}, deadPartBytesMax+1)})
	for name, change := range map[string]func(*click.Buried){
		"another topic":        func(l *click.Buried) { l.Topic = c.FilteredTopic() },
		"no such partition":    func(l *click.Buried) { l.Partition = c.Partitions },
		"gone from Kafka":      func(l *click.Buried) { l.Offset += 100 },
		"a topic made anew":    func(l *click.Buried) { l.AppendedAt = l.AppendedAt.AddDate(0, 0, -1) },
		"another of that size": func(l *click.Buried) { l.Value = []byte(strings.Repeat("x", deadPartBytesMax)) },
	} {
		letter := buriedOf(deadRecord(c.DeadTopic(), sent, "bad"))
		change(&letter)
		if _, err := admin.Replay(t.Context(), letter); !errors.Is(err, click.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
