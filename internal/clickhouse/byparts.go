package clickhouse

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// lookTimeout is how long a report waits for a look at the parts.
	lookTimeout = 2 * time.Second
	// looksPause is how long nobody looks after a look that failed, so that a shard
	// that is away does not keep the reports of the others waiting.
	looksPause = 10 * time.Second
	// rememberedMax bounds how long an answer is remembered without being read again.
	// A store that was lost and made anew, or a table whose rows were moved into
	// another one, could have parts of the same names; and what was read while a shard
	// was not as it should be must not be told for ever.
	rememberedMax = 10 * time.Minute
	// byPartsShare is the part of a gateway's memory for figures that is for these.
	byPartsShare = 4
	// What is remembered of an announcement, a point, and a point of what was not
	// counted takes in bytes, and each of its counts.
	announcementBytes, pointBytes, filteredBytes, reasonBytes = 32, 40, 56, 8
)

// tablePart is a part of a table: it never changes and, as long as the table is
// the same one, its name never comes again, so the same parts are the same rows.
type tablePart struct {
	table       string
	shard       uint32
	name        string
	rows        uint64
	first, last time.Time // the minutes of its rows
}

// readByParts is the answer to a question about restatements or about what was
// not counted. It is not to be changed.
type readByParts struct {
	points    []Figure
	announced []announcement
	filtered  []FilteredFigure
	copies    bool // there may be copies of counted clicks: filtered is not told
}

func (a readByParts) bytes() int {
	bytes := len(a.points)*pointBytes + len(a.announced)*announcementBytes
	for _, f := range a.filtered {
		bytes += filteredBytes + len(f.ByReason)*reasonBytes
	}
	return bytes
}

// partsCache remembers answers for as long as the parts that they were read from
// are the same. In most minutes nothing is restated, nor a click of past days
// found to be a duplicate: one look at the parts takes the place of all that
// reports ask of them meanwhile. It is safe for concurrent use; nil remembers
// nothing.
type partsCache struct {
	answers *otter.Cache[[sha256.Size]byte, partsEntry]

	mu      sync.Mutex
	parts   []tablePart // as of the last look, nil if it failed
	looked  time.Time   // when that began
	failed  time.Time   // when a look last failed, or took too long
	looking chan struct{}
}

// partsEntry is an answer and the parts as of a look that was made before it was
// read.
type partsEntry struct {
	parts  string
	answer readByParts
}

func newPartsCache(bytesMax uint64) (*partsCache, error) {
	if bytesMax == 0 {
		return nil, nil //nolint:nilnil // what remembers nothing
	}
	answers, err := otter.New(&otter.Options[[sha256.Size]byte, partsEntry]{
		MaximumWeight: bytesMax,
		Weigher: func(_ [sha256.Size]byte, e partsEntry) uint32 {
			return uint32(settledOverhead + len(e.parts) + e.answer.bytes())
		},
		ExpiryCalculator: otter.ExpiryWriting[[sha256.Size]byte, partsEntry](rememberedMax),
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of what follows from parts: %w", err)
	}
	return &partsCache{answers: answers}, nil
}

// partsQuestion is a question to remember the answer of.
type partsQuestion struct {
	since time.Time // the answer is as of some moment behind it, which may be the past
	key   [sha256.Size]byte
	of    func(tablePart) bool // the parts that have the rows it is about, at least
	read  func() (readByParts, error)
}

// answer is what is remembered, or what is read now.
func (c *partsCache) answer(ctx context.Context, q partsQuestion, look func(context.Context) ([]tablePart, error)) (readByParts, error) {
	entry, known := c.answers.GetIfPresent(q.key)
	since := q.since
	if !known {
		since = time.Time{} // to remember it by, any look will do
	}
	all, ok := c.partsSince(ctx, since, look)
	parts := ""
	if ok {
		parts = partsText(all, q.of)
		if known && entry.parts == parts {
			return entry.answer, nil
		}
	}
	answer, err := q.read()
	if err == nil && ok {
		c.answers.Set(q.key, partsEntry{parts: parts, answer: answer})
	}
	return answer, err
}

// lacks reports whether an answer is not remembered, but would be if it was asked
// for.
func (c *partsCache) lacks(key [sha256.Size]byte) bool {
	if _, known := c.answers.GetIfPresent(key); known {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.failed) >= looksPause
}

// partsText is the same for the same parts.
func partsText(parts []tablePart, of func(tablePart) bool) string {
	var lines []string
	for _, p := range parts {
		if of(p) {
			lines = append(lines, fmt.Sprint(p.shard, " ", p.name, " ", p.rows))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// partsSince are the parts as of a look that began behind since; not ok if that
// cannot be told in time. All who wait while somebody looks are served by the
// next look.
func (c *partsCache) partsSince(ctx context.Context, since time.Time, look func(context.Context) ([]tablePart, error)) (parts []tablePart, ok bool) {
	patience := time.NewTimer(lookTimeout)
	defer patience.Stop()
	for {
		c.mu.Lock()
		parts, known, pause := c.parts, c.parts != nil && c.looked.After(since), time.Since(c.failed) < looksPause
		if !known && !pause && c.looking == nil {
			c.looking = make(chan struct{})
			go c.look(context.WithoutCancel(ctx), look) // the others wait for it too
		}
		looking := c.looking
		c.mu.Unlock()
		switch {
		case known:
			return parts, true
		case pause:
			return nil, false
		}
		select {
		case <-looking:
		case <-ctx.Done():
			return nil, false
		case <-patience.C:
			c.mu.Lock()
			c.failed = time.Now() // a connection that hangs ends when it likes: nobody else waits for it
			c.mu.Unlock()
			return nil, false
		}
	}
}

func (c *partsCache) look(ctx context.Context, look func(context.Context) ([]tablePart, error)) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	began := time.Now()
	parts, err := look(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		parts, c.failed = nil, time.Now()
	case parts == nil:
		parts = []tablePart{}
	}
	c.parts, c.looked = parts, began
	close(c.looking)
	c.looking = nil
}

// byParts answers a question about the rows of a table with minutes of q.
func (s *Store) byParts(ctx context.Context, q ReportQuery, table, query string, args []any,
	read func() (readByParts, error),
) (readByParts, error) {
	if s.parts == nil {
		return read()
	}
	return s.parts.answer(ctx, partsQuestion{
		since: q.asked(), key: partsKey(query, args), of: q.partsOf(table), read: read,
	}, s.lookAtParts)
}

func partsKey(query string, args []any) [sha256.Size]byte {
	return sha256.Sum256(fmt.Append(nil, query, args))
}

// partsOf are the parts of a table with minutes of q: all rows that it is about
// are in them.
func (q ReportQuery) partsOf(table string) func(tablePart) bool {
	return func(p tablePart) bool { return p.table == table && p.first.Before(q.To) && !p.last.Before(q.From) }
}

const (
	restatementsTable = "restatements"
	filteredTable     = "clicks_filtered"
)

// partsSQL is answered by what ClickHouse keeps of each part, without reading it.
func partsSQL() string {
	var each []string
	for _, table := range []string{restatementsTable, filteredTable} {
		each = append(each, fmt.Sprintf(`SELECT '%[1]s' AS of, shardNum() AS shard, _part AS part, count() AS rows, min(minute) AS first, max(minute) AS last
FROM %[1]s
GROUP BY shard, part`, table))
	}
	return strings.Join(each, "\nUNION ALL\n")
}

func (s *Store) lookAtParts(ctx context.Context) (parts []tablePart, err error) {
	const what = "look at parts"
	rows, err := s.conn.Query(s.limited(ctx, reportQuerySeconds, nil), partsSQL())
	if err != nil {
		return nil, readError(what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p tablePart
		if err := rows.Scan(&p.table, &p.shard, &p.name, &p.rows, &p.first, &p.last); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		parts = append(parts, p)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(what, err)
	}
	return parts, nil
}
