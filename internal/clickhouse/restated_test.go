package clickhouse

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rowsRead is a table whose rows grow, and how often it was asked.
type rowsRead struct {
	rows         atomic.Int64
	looks, reads atomic.Int64
	away         atomic.Bool
}

func (r *rowsRead) look(context.Context) (string, error) {
	r.looks.Add(1)
	if r.away.Load() {
		return "", errors.New("away")
	}
	return fmt.Sprint(r.rows.Load()), nil
}

func (r *rowsRead) read() (ofRestatements, error) {
	r.reads.Add(1)
	return ofRestatements{points: make([]Figure, r.rows.Load())}, nil
}

func (r *rowsRead) ask(t *testing.T, c *restatedCache, since time.Time, question string) int64 {
	t.Helper()
	answer, err := c.answer(t.Context(), since, sha256.Sum256([]byte(question)), r.look, r.read)
	if err != nil {
		t.Error(err)
	}
	return int64(len(answer.points))
}

func restatedCacheOf(t *testing.T) *restatedCache {
	t.Helper()
	c, err := newRestatedCache(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnAnswerAboutRestatementsIsAsOfBehindTheTimeAskedFor(t *testing.T) {
	c, table := restatedCacheOf(t), &rowsRead{}
	stop := time.Now().Add(300 * time.Millisecond)
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			for time.Now().Before(stop) {
				if i == 0 {
					table.rows.Add(1)
					time.Sleep(100 * time.Microsecond)
					continue
				}
				least, since := table.rows.Load(), time.Now()
				if got := table.ask(t, c, since, fmt.Sprint(i%3)); got < least {
					t.Errorf("an answer of %d rows; there were %d", got, least)
				}
			}
		})
	}
	asking.Wait()
}

func TestWhileNothingIsRestatedOnlyPartsAreLookedAt(t *testing.T) {
	c, table := restatedCacheOf(t), &rowsRead{}
	for range 10 {
		table.ask(t, c, time.Now(), "a")
		table.ask(t, c, time.Now(), "b")
	}
	if table.reads.Load() != 2 {
		t.Errorf("read %d times, want 2", table.reads.Load())
	}
	looks := table.looks.Load()
	table.ask(t, c, time.Now().Add(-time.Hour), "a")
	if table.looks.Load() != looks {
		t.Error("looked although a look behind that time was there")
	}
	table.rows.Add(1)
	if got := table.ask(t, c, time.Now(), "a"); got != 1 {
		t.Errorf("an answer of %d rows, want 1", got)
	}
}

func TestWhenPartsCannotBeLookedAtEachQuestionIsAsked(t *testing.T) {
	c, table := restatedCacheOf(t), &rowsRead{}
	table.ask(t, c, time.Now(), "a")
	table.away.Store(true)
	looks := table.looks.Load()
	for range 5 {
		table.rows.Add(1)
		if got := table.ask(t, c, time.Now(), "a"); got != table.rows.Load() {
			t.Errorf("an answer of %d rows, there are %d", got, table.rows.Load())
		}
	}
	if table.looks.Load() != looks+1 {
		t.Errorf("%d looks that fail, want one in a while", table.looks.Load()-looks)
	}
}
