package clickhouse

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// lookTimeout is how long a look at the parts may take: what it spares takes not
	// much longer.
	lookTimeout = time.Second
	// looksPause is how long nobody looks after a look that failed, so that a shard
	// that is away does not keep the reports of the others waiting.
	looksPause = 10 * time.Second
	// restatedKept bounds how long an answer is remembered. A store that was lost and
	// made anew could have parts of the same names.
	restatedKept = 10 * time.Minute
	// restatedShare is the part of a gateway's memory for figures that is for these.
	restatedShare = 4
	// announcementBytes is what an announcement takes.
	announcementBytes = 32
)

// ofRestatements is the answer to a question about restatements.
type ofRestatements struct {
	points    []Figure
	announced []announcement
}

// restatedCache remembers answers about restatements for as long as the table's
// parts are the same: a part never changes and its name never comes again, so the
// same parts are the same rows. In most minutes nothing is restated, and one look
// at the parts takes the place of all that reports ask of them meanwhile. It is
// safe for concurrent use; nil remembers nothing.
type restatedCache struct {
	answers *otter.Cache[[sha256.Size]byte, restatedEntry]

	mu     sync.Mutex
	parts  string    // as of the last look, "" if it failed
	looked time.Time // when that began
}

// restatedEntry is an answer and parts that were looked at before it was read.
type restatedEntry struct {
	parts  string
	answer ofRestatements
}

func newRestatedCache(bytesMax uint64) (*restatedCache, error) {
	if bytesMax == 0 {
		return nil, nil //nolint:nilnil // what remembers nothing
	}
	answers, err := otter.New(&otter.Options[[sha256.Size]byte, restatedEntry]{
		MaximumWeight: bytesMax,
		Weigher: func(_ [sha256.Size]byte, e restatedEntry) uint32 {
			return uint32(settledOverhead + len(e.parts) + len(e.answer.points)*figureBytes + len(e.answer.announced)*announcementBytes)
		},
		ExpiryCalculator: otter.ExpiryWriting[[sha256.Size]byte, restatedEntry](restatedKept),
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of restatements: %w", err)
	}
	return &restatedCache{answers: answers}, nil
}

// answer is as of some moment behind since, which may be the past: what is
// remembered, or what read answers. It is not to be changed.
func (c *restatedCache) answer(ctx context.Context, since time.Time, key [sha256.Size]byte,
	look func(context.Context) (string, error), read func() (ofRestatements, error),
) (ofRestatements, error) {
	entry, known := c.answers.GetIfPresent(key)
	if !known {
		since = time.Time{} // to remember it by, any look will do
	}
	parts := c.partsSince(ctx, since, look)
	if known && parts != "" && entry.parts == parts {
		return entry.answer, nil
	}
	answer, err := read()
	if err == nil && parts != "" {
		c.answers.Set(key, restatedEntry{parts: parts, answer: answer})
	}
	return answer, err
}

// partsSince are the parts as of a look that began behind since, "" if that
// cannot be told. All who wait while somebody looks are served by the next look.
func (c *restatedCache) partsSince(ctx context.Context, since time.Time, look func(context.Context) (string, error)) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	switch {
	case c.parts == "" && began.Sub(c.looked) < looksPause, c.parts != "" && c.looked.After(since):
		return c.parts
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout) // the others wait for it too
	defer cancel()
	parts, err := look(ctx)
	if err != nil {
		parts = ""
	}
	c.parts, c.looked = parts, began
	return parts
}

// ofRestatements answers a question about restatements as of some moment behind
// since.
func (s *Store) ofRestatements(ctx context.Context, since time.Time, query string, args []any,
	read func(query string, args []any) (ofRestatements, error),
) (ofRestatements, error) {
	if s.restated == nil {
		return read(query, args)
	}
	return s.restated.answer(ctx, since, sha256.Sum256(fmt.Append(nil, query, args)), s.restatementParts,
		func() (ofRestatements, error) { return read(query, args) })
}

const restatementPartsSQL = `SELECT toString(arraySort(groupArray((shard, part, rows))))
FROM
(
    SELECT shardNum() AS shard, _part AS part, count() AS rows
    FROM restatements
    GROUP BY shard, part
)`

// restatementParts are the parts of restatements, of all shards. ClickHouse knows
// how many rows each has without reading it.
func (s *Store) restatementParts(ctx context.Context) (parts string, err error) {
	if err := s.conn.QueryRow(s.limited(ctx, reportQuerySeconds, nil), restatementPartsSQL).Scan(&parts); err != nil {
		return "", readError("look at the parts of restatements", err)
	}
	return parts, nil
}
