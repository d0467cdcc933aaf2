package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/journal"
)

func openJournal(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func appendClicks(t *testing.T, j *journal.Journal, n int) {
	t.Helper()
	var all sync.WaitGroup
	for number := range n {
		all.Go(func() {
			if err := j.Append(t.Context(), click.Routed{Click: click.Click{AdID: int64(number + 1), ClickedAt: time.Now()}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func journalled(t *testing.T, j *journal.Journal) []click.Journalled {
	t.Helper()
	held, err := j.Oldest(1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// What a journal once held must not be room for more on a full disk, and what
// it holds must stay.
func TestACompactedJournalKeepsItsClicksAndNoRoom(t *testing.T) {
	s := &spool{folder: t.TempDir()}
	path := filepath.Join(s.folder, journalFile)
	j := openJournal(t, path)
	id := j.ID()
	appendClicks(t, j, 5000)
	all := journalled(t, j)
	gone, kept := all[:4900], all[4900:]
	if err := j.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.compact(); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Size() > before.Size()/4 {
		t.Errorf("%d bytes of %d are left for 100 of 5,000 clicks", after.Size(), before.Size())
	}

	j = openJournal(t, path)
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	if j.ID() != id {
		t.Errorf("its id was %s and is %s", id, j.ID())
	}
	found := journalled(t, j)
	if len(found) != len(kept) {
		t.Fatalf("it holds %d clicks, not %d", len(found), len(kept))
	}
	for n := range kept {
		if found[n].Number != kept[n].Number || found[n].Impression != kept[n].Impression || found[n].AdID != kept[n].AdID {
			t.Fatalf("click %d is %+v, was %+v", n, found[n], kept[n])
		}
	}
	appendClicks(t, j, 1)
	if next := journalled(t, j)[len(kept)].Number; next <= kept[len(kept)-1].Number {
		t.Errorf("the next click has number %d, the last one %d", next, kept[len(kept)-1].Number)
	}
}
