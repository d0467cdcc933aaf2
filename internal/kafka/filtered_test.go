package kafka

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

func newFilteredProducer(t *testing.T, c config.Config) *FilteredProducer {
	t.Helper()
	producer, err := NewFilteredProducer(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	return producer
}

func newFilteredConsumer(t *testing.T, c config.Config) *FilteredConsumer {
	t.Helper()
	consumer, err := NewFilteredConsumer(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consumer.Leave)
	return consumer
}

// gatherFiltered commits batches until n entries came.
func gatherFiltered(t *testing.T, consumer *FilteredConsumer, n int) []click.Filtered {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	var all []click.Filtered
	for len(all) < n {
		entries, err := consumer.Gather(ctx)
		if err == nil {
			err = consumer.Commit(ctx)
		}
		if err != nil {
			t.Fatalf("gathered %d of %d entries: %v", len(all), n, err)
		}
		all = append(all, entries...)
	}
	slices.SortFunc(all, func(a, b click.Filtered) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all
}

// manyFiltered is more than one record holds.
func manyFiltered() []click.Filtered {
	entries := make([]click.Filtered, filteredEntriesMax+10)
	for i := range entries {
		entries[i] = click.Filtered{
			Window: click.WindowOf(time.Now()), AdvertiserID: 7, AdID: int64(i + 1), Reason: click.Expired,
			Count: 1, ID: click.NewArrivalID(5, uint64(i)),
		}
	}
	return entries
}

func TestSentFilteredClicksAreGathered(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		want := manyFiltered()
		if err := newFilteredProducer(t, c).SendFiltered(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got := gatherFiltered(t, newFilteredConsumer(t, c), len(want)); !slices.Equal(got, want) {
			t.Errorf("gathered %d entries, sent %d", len(got), len(want))
		}
	})
}

func TestFilteredBatchWithoutACommitIsReadAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, c config.Config) {
		setUp(t, c)
		producer, want := newFilteredProducer(t, c), someFiltered()
		if err := producer.SendFiltered(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		first := newFilteredConsumer(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), waitMax)
		defer cancel()
		if _, err := first.Gather(ctx); err != nil {
			t.Fatal(err)
		}
		first.Leave()
		second := newFilteredConsumer(t, c)
		if got := gatherFiltered(t, second, len(want)); !slices.Equal(got, want) {
			t.Errorf("read again %+v, want %+v", got, want)
		}
		second.Leave()

		// What is committed is not: only what comes after it.
		after := []click.Filtered{want[0]}
		after[0].ID = click.NewArrivalID(6, 1)
		if err := producer.SendFiltered(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		if got := gatherFiltered(t, newFilteredConsumer(t, c), 1); !slices.Equal(got, after) {
			t.Errorf("read %+v, want %+v", got, after)
		}
	})
}

func TestUnreadableAndRefusedFilteredRecordsAreDeadLetters(t *testing.T) {
	c := fakeKafka(t)
	setUp(t, c)
	producer := newFilteredProducer(t, c)
	if err := producer.client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("no record")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consumer := newFilteredConsumer(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	entries, err := consumer.Gather(ctx)
	if err != nil || len(entries) > 0 {
		t.Fatalf("gathered %v, %v", entries, err)
	}
	if err := consumer.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := producer.SendFiltered(ctx, someFiltered()); err != nil {
		t.Fatal(err)
	}
	if entries, err = consumer.Gather(ctx); err != nil || len(entries) != len(someFiltered()) {
		t.Fatalf("gathered %v, %v", entries, err)
	}
	consumer.Refuse("refused by the store")
	if err := consumer.Commit(ctx); err != nil {
		t.Fatal(err)
	}

	reader, err := kgo.NewClient(append(commonOptions(c), kgo.ConsumeTopics(c.DeadTopic()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var letters []*kgo.Record
	for len(letters) < 2 && ctx.Err() == nil {
		letters = append(letters, reader.PollFetches(ctx).Records()...)
	}
	if len(letters) != 2 {
		t.Fatalf("%d dead letters", len(letters))
	}
	slices.SortFunc(letters, func(a, b *kgo.Record) int { return cmp.Compare(len(a.Value), len(b.Value)) })
	for i, want := range []string{"the value is not a record of filtered clicks", "refused by the store"} {
		if got := headersOf(letters[i]); got[headerReason] != want || got[headerTopic] != c.FilteredTopic() {
			t.Errorf("letter %d: %v", i, got)
		}
	}
	if string(letters[0].Value) != "no record" {
		t.Errorf("the original was not kept: %q", letters[0].Value)
	}
}

func headersOf(r *kgo.Record) map[string]string {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

func TestKafkaAwayEndsASendWithItsContext(t *testing.T) {
	producer := newFilteredProducer(t, config.Config{Namespace: "away", KafkaBrokers: []string{"127.0.0.1:1"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := producer.SendFiltered(ctx, someFiltered()); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, click.ErrUnavailable)
	}
}
