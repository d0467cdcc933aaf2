package click

import (
	"crypto/rand"
	"testing"
	"time"
)

func TestSeenIndexForgetsAnHourAfterItIsNoLongerTrusted(t *testing.T) {
	const validity = 24 * time.Hour
	issued := time.Date(2026, 11, 23, 10, 5, 12, 345e6, time.UTC)
	id, err := NewImpressionID(issued, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	trustedUntil := issued.Add(validity + 5*time.Hour)
	if !SeenRemembers(id, validity, trustedUntil.Add(-time.Millisecond)) || SeenRemembers(id, validity, trustedUntil) {
		t.Error("trust does not end five hours after the validity")
	}
	if got, want := SeenKeyOf(id, 32).Expiry(validity), issued.Truncate(time.Second).Add(validity+6*time.Hour); !got.Equal(want) {
		t.Errorf("expires at %v, want %v", got, want)
	}
	if since := SeenSince(validity, trustedUntil); since.After(issued) {
		t.Errorf("a rebuild from %v on would miss what is still trusted", since)
	}
}

func TestSeenShardsShareTheLoad(t *testing.T) {
	const shards, ids = 32, 32_000
	var count [shards]int
	now := time.Now()
	for range ids {
		id, err := NewImpressionID(now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key := SeenKeyOf(id, shards)
		if key.Second != now.Unix() {
			t.Fatalf("second %d, want %d", key.Second, now.Unix())
		}
		count[key.Shard]++
	}
	for shard, n := range count {
		if n < ids/shards*8/10 || n > ids/shards*12/10 {
			t.Errorf("shard %d holds %d of %d", shard, n, ids)
		}
	}
}
