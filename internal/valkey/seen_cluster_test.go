package valkey

import (
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest/primaries"
)

// newSeenCluster is a seen index, complete and empty, on three primaries, of
// which its settings name one only or all.
func newSeenCluster(t *testing.T, one bool) (*primaries.Primaries, *SeenIndex, config.Config) {
	t.Helper()
	p := primaries.Start(t, 3)
	c := p.Config(t, one)
	index, err := OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(index.Close)
	rebuild(t, index, nil, nil)
	return p, index, c
}

// rebuild rebuilds the shards, all if nil, from what was marked, and returns how
// many were marked again.
func rebuild(t *testing.T, index *SeenIndex, shards []int, marked []click.ImpressionID) int {
	t.Helper()
	nonce := rand.Text()
	runs, err := index.BeginRebuild(t.Context(), nonce, shards)
	if err != nil {
		t.Fatal(err)
	}
	again, err := index.Remark(t.Context(), runs, marked)
	if err != nil {
		t.Fatal(err)
	}
	if going, err := index.Rebuilding(t.Context(), nonce, runs); err != nil || !going {
		t.Fatalf("goes on: %v, %v", going, err)
	}
	if done, err := index.FinishRebuild(t.Context(), nonce, runs); err != nil || !done {
		t.Fatalf("finished: %v, %v", done, err)
	}
	return again
}

// wantSeen: of ids the first marked are seen, the others are not.
func wantSeen(t *testing.T, index *SeenIndex, ids []click.ImpressionID, marked int) {
	t.Helper()
	answers, err := index.Ask(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		if want := i < marked; answer != want {
			t.Fatalf("impression %d: seen %v, want %v", i, answer, want)
		}
	}
}

// shardsOn are the shards that a server has.
func shardsOn(index *SeenIndex, addr string) []int {
	for _, part := range index.servers.parts(index.everyShard()) {
		if part.server.addr == addr {
			return part.shards
		}
	}
	return nil
}

func missing(t *testing.T, index *SeenIndex) []int {
	t.Helper()
	shards, err := index.Missing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return shards
}

func in(index *SeenIndex, ids []click.ImpressionID, shards []int) (found []click.ImpressionID) {
	for _, id := range ids {
		if slices.Contains(shards, int(click.SeenKeyOf(id, index.shards).Shard)) {
			found = append(found, id)
		}
	}
	return found
}

func TestSeenIndexOnAClusterRemembersWhatWasMarked(t *testing.T) {
	for name, one := range map[string]bool{"all addresses": false, "one address": true} {
		t.Run(name, func(t *testing.T) {
			p, index, _ := newSeenCluster(t, one)
			ids := impressions(t, 2000, 250*time.Millisecond)
			wantSeen(t, index, ids, 0)
			if err := index.Mark(t.Context(), ids[:1500]); err != nil {
				t.Fatal(err)
			}
			wantSeen(t, index, ids, 1500)
			for _, addr := range p.Addrs() {
				if len(shardsOn(index, addr)) == 0 {
					t.Errorf("%s has no shard", addr)
				}
			}
			if err := index.Drop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if lost := missing(t, index); len(lost) != index.shards {
				t.Errorf("after it was dropped the shards %v are missing", lost)
			}
		})
	}
}

func TestOnlyThePartOfAWipedPrimaryIsRebuilt(t *testing.T) {
	p, index, _ := newSeenCluster(t, false)
	ids := impressions(t, 2000, 250*time.Millisecond)
	if err := index.Mark(t.Context(), ids[:1500]); err != nil {
		t.Fatal(err)
	}
	part := shardsOn(index, p.Addrs()[1])
	p.Wipe(t, 1)
	lost := missing(t, index)
	if !slices.Equal(lost, part) || len(lost) == index.shards {
		t.Fatalf("the shards %v are missing, want those of the wiped primary: %v", lost, part)
	}
	wantNotReady(t, index, in(index, ids, lost))
	others := slices.DeleteFunc(index.everyShard(), func(shard int) bool { return slices.Contains(lost, shard) })
	kept := in(index, ids[:1500], others)
	wantSeen(t, index, kept, len(kept))

	again := rebuild(t, index, lost, ids[:1500])
	if want := len(in(index, ids[:1500], lost)); again != want {
		t.Errorf("%d were marked again, want %d: those of the wiped primary", again, want)
	}
	wantSeen(t, index, ids, 1500)
}

func TestOnlyThePartOfAKilledPrimaryIsRebuilt(t *testing.T) {
	p, index, _ := newSeenCluster(t, false)
	ids := impressions(t, 2000, 250*time.Millisecond)
	if err := index.Mark(t.Context(), ids[:1500]); err != nil {
		t.Fatal(err)
	}
	part := shardsOn(index, p.Addrs()[2])
	p.Kill(2)
	for range 5 { // it asks the others meanwhile where those shards are
		if _, err := index.Ask(t.Context(), ids); !errors.Is(err, click.ErrUnavailable) {
			t.Fatalf("with a primary away: %v, want %v", err, click.ErrUnavailable)
		}
	}
	p.Restart(t, 2)
	if lost := missing(t, index); !slices.Equal(lost, part) {
		t.Fatalf("the shards %v are missing, want %v", lost, part)
	}
	rebuild(t, index, part, ids[:1500])
	wantSeen(t, index, ids, 1500)
}

// A slot is moved, key by key, while impressions are marked and asked for. What
// is answered is right at every moment; afterwards only that shard is rebuilt.
func TestASlotMovesWhileClicksFlow(t *testing.T) {
	p, index, c := newSeenCluster(t, false)
	moving := shardsOn(index, p.Addrs()[0])[0]
	from, to := p.Addrs()[0], p.Addrs()[2]

	var mu sync.Mutex
	var marked []click.ImpressionID
	some := func() []click.ImpressionID {
		mu.Lock()
		defer mu.Unlock()
		return marked[:len(marked):len(marked)]
	}
	must := func(err error) bool {
		if err != nil && !errors.Is(err, click.ErrUnavailable) && !errors.Is(err, click.ErrSeenNotReady) {
			t.Error(err)
		}
		return err == nil
	}
	first := impressions(t, 20_000, 50*time.Millisecond)
	if err := index.Mark(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	marked = first

	over := make(chan struct{})
	var under sync.WaitGroup
	var answered, waited atomic.Int64
	for range 3 {
		under.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				fresh := impressions(t, 200, 20*time.Millisecond)
				known := some()
				asked := append(slices.Clone(known[len(known)-2000:]), fresh...)
				answers, err := index.Ask(t.Context(), asked)
				if !must(err) {
					waited.Add(1)
					// As after an outage: the ingester asks for these again; others go on.
					others := in(index, asked, slices.DeleteFunc(index.everyShard(), func(s int) bool { return s == moving }))
					if _, err := index.Ask(t.Context(), others); err != nil {
						t.Errorf("the other shards: %v", err)
					}
				} else {
					answered.Add(1)
					for i, seen := range answers {
						if want := i < 2000; seen != want {
							t.Errorf("impression %d: seen %v, want %v", i, seen, want)
						}
					}
				}
				if must(index.Mark(t.Context(), fresh)) {
					mu.Lock()
					marked = append(marked, fresh...)
					mu.Unlock()
				}
			}
		})
	}
	slot, err := primaries.SlotOf(t.Context(), from, c.ValkeyPassword, index.shardKey(moving, sentinelName))
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	err = primaries.Move(t.Context(), slot, c.ValkeyPassword, from, to, p.Addrs(), func() {
		steps++
		time.Sleep(10 * time.Millisecond)
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	close(over)
	under.Wait()
	t.Logf("moved in %d steps; %d were answered, %d had to wait", steps, answered.Load(), waited.Load())
	if steps < 3 || waited.Load() == 0 {
		t.Error("the move was over before anybody noticed")
	}
	if lost := missing(t, index); !slices.Equal(lost, []int{moving}) {
		t.Fatalf("the shards %v are missing, want the one that moved: %d", lost, moving)
	}
	all := some()
	rebuild(t, index, []int{moving}, all)
	wantSeen(t, index, all, len(all))
	if !slices.Contains(shardsOn(index, to), moving) {
		t.Errorf("shard %d is not asked for at its new server", moving)
	}
}

func TestMemoryOfEveryPrimaryIsAsked(t *testing.T) {
	p, _, c := newSeenCluster(t, true)
	// As the gateway's, which asks for nothing else.
	index, err := OpenSeenIndex(c)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if _, err := index.CheckMemory(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, server := range index.servers.holders() {
		if server.memory.Load() != nil {
			asked++
		}
	}
	if asked != 3 {
		t.Errorf("%d primaries were asked, want 3", asked)
	}
	p.Kill(1)
	if _, err := index.CheckMemory(t.Context()); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("with a primary away: %v, want %v", err, click.ErrUnavailable)
	}
}

func TestAServerThatIsGoneIsLetGo(t *testing.T) {
	p, index, _ := newSeenCluster(t, true)
	p.Kill(1)
	if err := index.Ping(t.Context()); !errors.Is(err, click.ErrUnavailable) {
		t.Fatalf("with a primary away: %v, want %v", err, click.ErrUnavailable)
	}
	for _, server := range index.servers.all {
		if server.addr == p.Addrs()[1] {
			t.Error("the primary that is gone is still known")
		}
	}
	p.Restart(t, 1)
	if err := index.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// move moves a shard's slot from one primary to another.
func move(t *testing.T, p *primaries.Primaries, index *SeenIndex, c config.Config, shard, from, to int) {
	t.Helper()
	addrs := p.Addrs()
	slot, err := primaries.SlotOf(t.Context(), addrs[from], c.ValkeyPassword, index.shardKey(shard, sentinelName))
	if err != nil {
		t.Fatal(err)
	}
	if err := primaries.Move(t.Context(), slot, c.ValkeyPassword, addrs[from], addrs[to], addrs, func() {}); err != nil {
		t.Fatal(err)
	}
}

// What a shard loses on a server where it was not believed, it has lost for good:
// it must not be believed again when it is back where it was built.
func TestAShardThatComesBackIsNotBelieved(t *testing.T) {
	p, index, c := newSeenCluster(t, false)
	shard := shardsOn(index, p.Addrs()[0])[0]
	ids := in(index, impressions(t, 2000, 250*time.Millisecond), []int{shard})
	if err := index.Mark(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	move(t, p, index, c, shard, 0, 2)
	wantNotReady(t, index, ids)
	for _, part := range index.servers.parts([]int{shard}) {
		if part.server.addr != p.Addrs()[2] {
			t.Fatalf("shard %d is at %s", shard, part.server.addr)
		}
		there := part.server.client
		key := index.setKey(click.SeenKeyOf(ids[0], index.shards))
		if n, err := there.Do(t.Context(), there.B().Del().Key(key).Build()).AsInt64(); err != nil || n != 1 {
			t.Fatalf("removed %d sets: %v", n, err)
		}
	}
	move(t, p, index, c, shard, 2, 0)
	wantNotReady(t, index, ids)
	rebuild(t, index, missing(t, index), ids)
	wantSeen(t, index, ids, len(ids))
}

func TestARebuildWhoseShardMovesDoesNotFinish(t *testing.T) {
	p, index, c := newSeenCluster(t, false)
	shard := shardsOn(index, p.Addrs()[0])[0]
	nonce := rand.Text()
	runs, err := index.BeginRebuild(t.Context(), nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	move(t, p, index, c, shard, 0, 2)
	if going, err := index.Rebuilding(t.Context(), nonce, runs); err != nil || going {
		t.Errorf("goes on: %v, %v", going, err)
	}
	if done, err := index.FinishRebuild(t.Context(), nonce, runs); err != nil || done {
		t.Errorf("finished: %v, %v", done, err)
	}
	if lost := missing(t, index); !slices.Equal(lost, []int{shard}) {
		t.Errorf("the shards %v are missing, want %d only", lost, shard)
	}
}
