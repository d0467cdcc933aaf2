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

	"clickledger/internal/click"
)

// rowsRead is a table whose rows grow, and how often it was asked.
type rowsRead struct {
	rows         atomic.Int64
	looks, reads atomic.Int64
	away         atomic.Bool
}

func (r *rowsRead) look(context.Context) ([]tablePart, error) {
	r.looks.Add(1)
	if r.away.Load() {
		return nil, errors.New("away")
	}
	return []tablePart{{table: restatementsTable, name: fmt.Sprint("part", r.rows.Load())}, {table: filteredTable, name: fmt.Sprint(r.looks.Load())}}, nil
}

func (r *rowsRead) read() (readByParts, bool, error) {
	r.reads.Add(1)
	return readByParts{points: make([]Figure, r.rows.Load())}, true, nil
}

func (r *rowsRead) ask(t *testing.T, c *partsCache, since time.Time, question string) int64 {
	t.Helper()
	answer, err := c.answer(t.Context(), partsQuestion{since: since, key: sha256.Sum256([]byte(question)), of: ofRestatements, read: r.read}, r.look)
	if err != nil {
		t.Error(err)
	}
	return int64(len(answer.points))
}

func partsCacheOf(t *testing.T) *partsCache {
	t.Helper()
	c, err := newPartsCache(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnAnswerByPartsIsAsOfBehindTheTimeAskedFor(t *testing.T) {
	c, table := partsCacheOf(t), &rowsRead{}
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

func TestWhilePartsAreTheSameNothingElseIsRead(t *testing.T) {
	c, table := partsCacheOf(t), &rowsRead{}
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
	c, table := partsCacheOf(t), &rowsRead{}
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

func TestPartsOfPastWeeksOnlyAreThoseOfPastWeeks(t *testing.T) {
	parts := []tablePart{
		{table: filteredTable, partition: "20261116", name: "20261116_1_1_0", rows: 1}, {table: filteredTable, partition: "20261116", shard: 2, name: "20261116_1_1_0", rows: 1},
		{table: filteredTable, partition: "20261123", name: "20261123_2_2_0", rows: 1}, {table: restatementsTable, partition: "202611", name: "202611_1_1_0", rows: 1},
	}
	monday, err := click.ParseDay("2026-11-23")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := partsText(parts, ofFilteredBefore(monday)), "0 20261116_1_1_0 1\n2 20261116_1_1_0 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
