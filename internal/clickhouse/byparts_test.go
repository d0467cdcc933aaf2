package clickhouse

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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

func (r *rowsRead) read() (readByParts, error) {
	r.reads.Add(1)
	return readByParts{points: make([]Figure, r.rows.Load())}, nil
}

func (r *rowsRead) ask(t *testing.T, c *partsCache, since time.Time, question string) int64 {
	t.Helper()
	answer, err := c.answer(t.Context(), partsQuestion{since: since, key: sha256.Sum256([]byte(question)), of: func(p tablePart) bool { return p.table == restatementsTable }, read: r.read}, r.look)
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
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	if !c.lacks(a) {
		t.Error("an answer is remembered that nobody asked for")
	}
	table.ask(t, c, time.Now(), "a")
	if c.lacks(a) || !c.lacks(b) {
		t.Error("what was asked for is not remembered, or what was not is")
	}
	table.away.Store(true)
	looks := table.looks.Load()
	for range 5 {
		table.rows.Add(1)
		if got := table.ask(t, c, time.Now(), "a"); got != table.rows.Load() {
			t.Errorf("an answer of %d rows, there are %d", got, table.rows.Load())
		}
	}
	if c.lacks(b) {
		t.Error("what cannot be remembered is to be asked for ahead")
	}
	if table.looks.Load() != looks+1 {
		t.Errorf("%d looks that fail, want one in a while", table.looks.Load()-looks)
	}
}

func TestPartsWithMinutesOfAQuestionAreThoseThatMatter(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 23, 0, minute, 0, 0, time.UTC) }
	part := func(table string, shard uint32, name string, first, last int) tablePart {
		return tablePart{table: table, shard: shard, name: name, rows: 1, first: at(first), last: at(last)}
	}
	parts := []tablePart{
		part(filteredTable, 0, "before", 5, 9), part(filteredTable, 0, "into", 5, 10), part(filteredTable, 2, "over", 5, 30),
		part(filteredTable, 1, "over", 5, 30), part(filteredTable, 0, "out", 19, 30), part(filteredTable, 0, "behind", 20, 30), part(restatementsTable, 0, "another", 5, 30),
	}
	q := ReportQuery{From: at(10), To: at(20)}
	if got, want := partsText(parts, q.partsOf(filteredTable)), "0 into 1\n0 out 1\n1 over 1\n2 over 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Nobody waits for a connection that hangs longer than a look may take, nor
// longer than his own time, and who comes then does not wait at all.
func TestALookThatHangsKeepsReportsWaitingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, table := &partsCache{}, &rowsRead{}
		hangs := func(context.Context) ([]tablePart, error) {
			time.Sleep(time.Minute)
			return nil, errors.New("hung")
		}
		began := time.Now()
		hurried, cancel := context.WithTimeout(t.Context(), lookTimeout/2)
		defer cancel()
		if _, ok := c.partsSince(hurried, began, hangs); ok || time.Since(began) != lookTimeout/2 {
			t.Errorf("waited %v, want half of %v", time.Since(began), lookTimeout)
		}
		began = time.Now()
		if _, ok := c.partsSince(t.Context(), began, hangs); ok || time.Since(began) != lookTimeout {
			t.Errorf("waited %v, want %v", time.Since(began), lookTimeout)
		}
		began = time.Now()
		if _, ok := c.partsSince(t.Context(), began, hangs); ok || time.Since(began) != 0 {
			t.Errorf("waited %v although a look hangs", time.Since(began))
		}
		time.Sleep(2 * time.Minute)
		if parts, ok := c.partsSince(t.Context(), time.Now().Add(-time.Nanosecond), table.look); !ok || len(parts) != 2 {
			t.Errorf("later there are parts %v", parts)
		}
	})
}
