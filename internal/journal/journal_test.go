package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"clickledger/internal/click"
)

const roomy = 1 << 20

func open(t *testing.T, path string, bytesMax int64) *Journal {
	t.Helper()
	j, err := Open(path, bytesMax)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// some is click number n; its minute is the n'th too.
func some(n int) click.Routed {
	return click.Routed{FanOut: 3, Click: click.Click{
		AdID: int64(n) + 1, AdvertiserID: 7, Impression: click.ImpressionID{6: 0x70, 8: 0x80, 15: byte(n)},
		ClickedAt: time.Unix(int64(n)*60, 123e6).UTC(), Arrival: click.NewArrivalID(9, uint64(n)),
	}}
}

func fill(t *testing.T, j *Journal, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := j.Append(t.Context(), some(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func oldest(t *testing.T, j *Journal, limit int) []click.Journalled {
	t.Helper()
	clicks, err := j.Oldest(limit)
	if err != nil {
		t.Fatal(err)
	}
	return clicks
}

func TestClicksComeBackInOrderAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "journal.db")
	j := open(t, path, roomy)
	id := j.ID()
	fill(t, j, 0, 10)
	if err := j.Remove(oldest(t, j, 4)); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), some(99)); err == nil {
		t.Error("a closed journal took a click")
	}
	j = open(t, path, roomy)
	defer func() { _ = j.Close() }()
	if j.ID() != id {
		t.Errorf("its id is %s, it was %s", j.ID(), id)
	}
	if held := j.Held(); held.Depth != 6 || held.Oldest != click.WindowOf(some(4).ClickedAt) {
		t.Errorf("it holds %+v", held)
	}
	fill(t, j, 10, 12)
	for i, c := range oldest(t, j, 100) {
		if c.Routed != some(i+4) {
			t.Errorf("number %d: %+v", i, c)
		}
	}
}

// An emptied journal starts no new count: a number names one click for ever.
func TestNumbersAreNeverUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	last := uint64(0)
	for range 3 {
		j := open(t, path, roomy)
		fill(t, j, 0, 5)
		held := oldest(t, j, 100)
		if len(held) != 5 || held[0].Number <= last {
			t.Fatalf("after %d: %+v", last, held)
		}
		last = held[4].Number
		if err := j.Remove(held); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What Append has acknowledged is in the file as another process would find it
// after a crash at any moment.
func TestAcknowledgedClicksAreInTheFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "journal.db")
	j := open(t, path, roomy)
	defer func() { _ = j.Close() }()
	var appending sync.WaitGroup
	for worker := range 20 {
		appending.Go(func() {
			for n := range 20 {
				if err := j.Append(context.Background(), some(worker*20+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	appending.Wait()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(folder, "crashed.db")
	if err := os.WriteFile(crashed, content, 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, crashed, roomy)
	defer func() { _ = again.Close() }()
	found := map[int64]bool{}
	for _, c := range oldest(t, again, 1_000) {
		found[c.AdID] = true
	}
	if len(found) != 400 {
		t.Errorf("%d of 400 acknowledged clicks are in the file", len(found))
	}
}

func TestFullJournalRefusesAndIsNotReadyUntilThereIsRoom(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), 5*entryBytes)
	defer func() { _ = j.Close() }()
	fill(t, j, 0, 5)
	if err := j.Append(t.Context(), some(5)); !errors.Is(err, ErrFull) {
		t.Errorf("the sixth of five: %v", err)
	}
	if err := j.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "CLICKLEDGER_JOURNAL_BYTES_MAX") {
		t.Errorf("a full journal: %v", err)
	}
	if err := j.Remove(oldest(t, j, 1)); err != nil {
		t.Fatal(err)
	}
	if err := j.Check(t.Context()); err != nil {
		t.Errorf("with room: %v", err)
	}
	fill(t, j, 5, 6)
}

func TestSecondProcessIsRefusedInWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, roomy)
	defer func() { _ = j.Close() }()
	if _, err := Open(path, roomy); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestDamagedEntriesAreSetAsideNotLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, roomy)
	fill(t, j, 0, 3)
	err := j.db.Update(func(tx *bbolt.Tx) error {
		clicks := tx.Bucket(bucketClicks)
		k, value := clicks.Cursor().First()
		damaged := append([]byte(nil), value...)
		damaged[20] ^= 1
		return clicks.Put(append([]byte(nil), k...), damaged)
	})
	if err != nil {
		t.Fatal(err)
	}
	if held := oldest(t, j, 100); len(held) != 2 {
		t.Errorf("%d readable entries, want 2", len(held))
	}
	if held := j.Held(); held.Depth != 2 || held.Unreadable != 1 {
		t.Errorf("it holds %+v", held)
	}
	_ = j.Close()
	j = open(t, path, roomy)
	defer func() { _ = j.Close() }()
	if held := j.Held(); held.Depth != 2 || held.Unreadable != 1 {
		t.Errorf("after a restart it holds %+v", held)
	}
}

// A disk that fails refuses clicks, is not ready, and is found mended by itself.
func TestDiskErrorRefusesUntilItIsMended(t *testing.T) {
	var failing bool
	var mu sync.Mutex
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, roomy)
	defer func() { _ = j.Close() }()
	refuse := func() error {
		mu.Lock()
		defer mu.Unlock()
		if failing {
			return errors.New("no space left on device")
		}
		return nil
	}
	j.beforeWrite.Store(&refuse)
	set := func(to bool) { mu.Lock(); defer mu.Unlock(); failing = to }
	set(true)
	if err := j.Append(t.Context(), some(0)); err == nil {
		t.Error("a failed write was acknowledged")
	}
	if err := j.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("while it fails: %v", err)
	}
	set(false)
	for j.Check(t.Context()) != nil {
		time.Sleep(10 * time.Millisecond)
	}
	fill(t, j, 0, 1)
	if held := j.Held(); held.Depth != 1 {
		t.Errorf("it holds %+v", held)
	}
}

func TestEntriesOfAnyContentComeBackOrAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := some(rapid.IntRange(0, 255).Draw(t, "click"))
		in.FanOut = rapid.Uint8().Draw(t, "fan-out")
		encoded := encodeEntry(in)
		if out, err := decodeEntry(encoded); err != nil || out != in {
			t.Fatalf("%+v, %v", out, err)
		}
		at := rapid.IntRange(0, entryLength-1).Draw(t, "byte")
		encoded[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := decodeEntry(encoded); err == nil {
			t.Fatalf("a flipped bit in byte %d was not noticed", at)
		}
		if _, err := decodeEntry(encoded[:at]); err == nil {
			t.Fatalf("an entry of %d bytes was read", at)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			j, err := Open(filepath.Join(b.TempDir(), "journal.db"), 1<<30)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := j.Append(context.Background(), some(1)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
