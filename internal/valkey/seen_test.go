package valkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// newSeenIndex is the seen index of a namespace of its own, not yet built.
func newSeenIndex(t testing.TB) (*SeenIndex, config.Config) {
	t.Helper()
	c := stacktest.Config(t)
	index, err := OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(index.Close)
	stacktest.Cleanup(t, "seen index", index.Drop)
	return index, c
}

// build makes the index complete with nothing in it.
func build(t testing.TB, index *SeenIndex) {
	t.Helper()
	runID, err := index.BeginRebuild(t.Context(), rand.Text(), nil)
	if err != nil {
		t.Fatal(err)
	}
	finish(t, index, runID, true)
}

// client is a way to the first server.
func client(index *SeenIndex) vk.Client { return index.servers.all[0].client }

// otherRun is what BeginRebuild would have said in another run of the server.
func otherRun(index *SeenIndex) string {
	return seenRuns{Settings: index.settings(), Runs: map[string][]int{"0123456789abcdef": index.everyShard()}}.text()
}

func finish(t testing.TB, index *SeenIndex, runID string, want bool) {
	t.Helper()
	nonce, err := client(index).Do(t.Context(), client(index).B().Get().Key(index.shardKey(0, buildingName)).Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	done, err := index.FinishRebuild(t.Context(), nonce, runID)
	if err != nil || done != want {
		t.Fatalf("finished %v, want %v: %v", done, want, err)
	}
}

// impressions are n impressions, one issued every step before now.
func impressions(t testing.TB, n int, step time.Duration) []click.ImpressionID {
	t.Helper()
	ids := make([]click.ImpressionID, n)
	now := time.Now()
	for i := range ids {
		id, err := click.NewImpressionID(now.Add(-time.Duration(i)*step), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

func ask(t testing.TB, index *SeenIndex, ids []click.ImpressionID) (seen int) {
	t.Helper()
	answers, err := index.Ask(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range answers {
		if answer {
			seen++
		}
	}
	return seen
}

func wantNotReady(t *testing.T, index *SeenIndex, ids []click.ImpressionID) {
	t.Helper()
	if _, err := index.Ask(t.Context(), ids); !errors.Is(err, click.ErrSeenNotReady) {
		t.Errorf("ask answered %v, want %v", err, click.ErrSeenNotReady)
	}
}

func TestSeenIndexRemembersWhatWasMarked(t *testing.T) {
	index, _ := newSeenIndex(t)
	build(t, index)
	ids := impressions(t, 2000, 250*time.Millisecond)
	if seen := ask(t, index, ids); seen != 0 {
		t.Errorf("%d were seen before they were marked", seen)
	}
	for range 2 { // a repeated batch marks again
		if err := index.Mark(t.Context(), ids[:1500]); err != nil {
			t.Fatal(err)
		}
	}
	answers, err := index.Ask(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		if want := i < 1500; answer != want {
			t.Fatalf("impression %d: seen %v, want %v", i, answer, want)
		}
	}
}

func TestSetsExpireSixHoursAfterTheirTokens(t *testing.T) {
	index, c := newSeenIndex(t)
	ids := impressions(t, 1, 0)
	if err := index.Mark(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	key := index.setKey(click.SeenKeyOf(ids[0], c.SeenShards))
	at, err := client(index).Do(t.Context(), client(index).B().Expiretime().Key(key).Build()).AsInt64()
	if want := ids[0].IssuedAt().Unix() + int64((c.TokenValidity+6*time.Hour)/time.Second); err != nil || at != want {
		t.Errorf("%s expires at %d, want %d: %v", key, at, want, err)
	}
}

func TestIndexThatWasNeverBuiltIsNotReady(t *testing.T) {
	index, _ := newSeenIndex(t)
	wantNotReady(t, index, impressions(t, 10, time.Second))
}

func TestLostShardIsNoticed(t *testing.T) {
	index, c := newSeenIndex(t)
	build(t, index)
	ids := impressions(t, 1, 0)
	shard := int(click.SeenKeyOf(ids[0], c.SeenShards).Shard)
	client(index).Do(t.Context(), client(index).B().Del().Key(index.shardKey(shard, sentinelName)).Build())
	wantNotReady(t, index, ids)
}

func TestIndexBuiltForOtherSettingsIsNotReady(t *testing.T) {
	index, c := newSeenIndex(t)
	build(t, index)
	ids := impressions(t, 10, time.Second)
	for name, change := range map[string]func(*config.Config){
		"validity": func(c *config.Config) { c.TokenValidity *= 2 },
		"shards":   func(c *config.Config) { c.SeenShards = 8 },
	} {
		other := c
		change(&other)
		changed, err := OpenSeenIndex(other)
		if err != nil {
			t.Fatal(err)
		}
		defer changed.Close()
		t.Run(name, func(t *testing.T) { wantNotReady(t, changed, ids) })
	}
}

func TestIndexOfAnEarlierServerRunIsNotReady(t *testing.T) {
	index, _ := newSeenIndex(t)
	if _, err := index.BeginRebuild(t.Context(), rand.Text(), nil); err != nil {
		t.Fatal(err)
	}
	finish(t, index, otherRun(index), false)
	wantNotReady(t, index, impressions(t, 10, time.Second))
}

func TestRebuildThatLostAShardStartsOver(t *testing.T) {
	index, _ := newSeenIndex(t)
	runID, err := index.BeginRebuild(t.Context(), rand.Text(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client(index).Do(t.Context(), client(index).B().Del().Key(index.shardKey(1, buildingName)).Build())
	finish(t, index, runID, false)
	if complete, err := index.Complete(t.Context()); err != nil || complete {
		t.Errorf("complete %v although a shard was lost: %v", complete, err)
	}
	build(t, index)
	if complete, err := index.Complete(t.Context()); err != nil || !complete {
		t.Errorf("complete %v after the second rebuild: %v", complete, err)
	}
}

func TestRebuildGoesOnOnlyWhileNothingIsLost(t *testing.T) {
	index, _ := newSeenIndex(t)
	nonce := rand.Text()
	runID, err := index.BeginRebuild(t.Context(), nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := func(nonce, runID string, want bool) {
		t.Helper()
		if got, err := index.Rebuilding(t.Context(), nonce, runID); err != nil || got != want {
			t.Errorf("goes on: %v, want %v: %v", got, want, err)
		}
	}
	want(nonce, runID, true)
	want(nonce, otherRun(index), false)
	want(nonce, "0123456789abcdef", false) // of a version before
	want(rand.Text(), runID, false)
	client(index).Do(t.Context(), client(index).B().Del().Key(index.shardKey(3, buildingName)).Build())
	want(nonce, runID, false)
}

// Its sets would be those of the old settings, and declared complete for the new.
func TestARebuildIsNotGoneOnWithForOtherSettings(t *testing.T) {
	index, c := newSeenIndex(t)
	nonce := rand.Text()
	for name, change := range map[string]func(*config.Config){
		"more shards": func(c *config.Config) { c.SeenShards *= 2 },
		"validity":    func(c *config.Config) { c.TokenValidity *= 2 },
	} {
		t.Run(name, func(t *testing.T) {
			runs, err := index.BeginRebuild(t.Context(), nonce, nil)
			if err != nil {
				t.Fatal(err)
			}
			other := c
			change(&other)
			changed, err := OpenSeenIndex(other)
			if err != nil {
				t.Fatal(err)
			}
			defer changed.Close()
			if going, err := changed.Rebuilding(t.Context(), nonce, runs); err != nil || going {
				t.Errorf("goes on: %v, %v", going, err)
			}
			if done, err := changed.FinishRebuild(t.Context(), nonce, runs); err != nil || done {
				t.Errorf("finished: %v, %v", done, err)
			}
		})
	}
}

// Two servers that do not know each other would each be believed by whoever
// reaches it, and an impression counted at both.
func TestSeveralServersMustBeOneCluster(t *testing.T) {
	index, c := newSeenIndex(t)
	build(t, index)
	c.ValkeySeenAddrs = append(c.ValkeySeenAddrs, "127.0.0.2:1")
	several, err := OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	defer several.Close()
	if _, err := several.Ask(t.Context(), impressions(t, 3, 0)); err == nil || errors.Is(err, click.ErrUnavailable) || errors.Is(err, click.ErrSeenNotReady) {
		t.Errorf("two servers of no cluster: %v", err)
	}
	ask(t, index, impressions(t, 3, 0)) // alone it is right, and still complete
}

func TestOlderRebuildCannotFinish(t *testing.T) {
	index, _ := newSeenIndex(t)
	older := rand.Text()
	runID, err := index.BeginRebuild(t.Context(), older, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := index.BeginRebuild(t.Context(), rand.Text(), nil); err != nil {
		t.Fatal(err)
	}
	if done, err := index.FinishRebuild(t.Context(), older, runID); err != nil || done {
		t.Errorf("the older rebuild finished (%v): %v", done, err)
	}
}

func TestSeenIndexAwayIsUnavailable(t *testing.T) {
	c := stacktest.Config(t)
	c.ValkeySeenAddrs = []string{"127.0.0.1:1"}
	index, err := OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	for name, call := range map[string]func(context.Context, []click.ImpressionID) error{
		"ask":  func(ctx context.Context, ids []click.ImpressionID) error { _, err := index.Ask(ctx, ids); return err },
		"mark": index.Mark,
	} {
		if err := call(t.Context(), impressions(t, 3, 0)); !errors.Is(err, click.ErrUnavailable) {
			t.Errorf("%s: %v, want %v", name, err, click.ErrUnavailable)
		}
	}
}

func TestWrongPasswordIsNotAnOutage(t *testing.T) {
	c := stacktest.Config(t)
	c.ValkeyPassword += "x"
	index, err := OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if err := index.Ping(t.Context()); err == nil || errors.Is(err, click.ErrUnavailable) {
		t.Errorf("ping with a wrong password: %v", err)
	}
}

// The worst spread: 10,000 impressions over 1,000 seconds, nearly each a set of
// its own.
func BenchmarkAskAndMark(b *testing.B) {
	for _, step := range []time.Duration{time.Millisecond / 15, 100 * time.Millisecond} {
		b.Run(fmt.Sprint(step), func(b *testing.B) {
			index, _ := newSeenIndex(b)
			build(b, index)
			ids := impressions(b, 10_000, step)
			b.ResetTimer()
			for b.Loop() {
				ask(b, index, ids)
				if err := index.Mark(b.Context(), ids); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
