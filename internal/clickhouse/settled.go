package clickhouse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"clickledger/internal/click"
)

const (
	// settledShare is the part of the memory that one answer may take, if that is not
	// more than settledFiguresMax.
	settledShare      = 8
	settledFiguresMax = 1 << 18
	// settledOverhead is what an answer takes besides its figures, about.
	settledOverhead = 256
	figureBytes     = 24
)

// settledKey is a digest of all that settled figures follow from: the question,
// the tables that answer it, and the versions by which these were rolled up.
type settledKey [sha256.Size]byte

// settledFigures is the answer to a question about settled pieces, to be
// remembered. No figures at all, nil, says that they are too many for that.
type settledFigures struct {
	key     settledKey
	figures []compactFigure
	at      time.Time // when they had been read
}

// compactFigure is a Figure without pointers; the instant is in Unix seconds.
type compactFigure struct {
	ad, start int64
	clicks    uint64
}

// settledCache remembers figures of settled pieces, as long as memory allows.
// Reports are asked for again and again, and the past they tell of is the same:
// what is remembered needs not be read, only checked as what is read is. It is
// safe for concurrent use; nil remembers nothing.
type settledCache struct {
	answers     *otter.Cache[settledKey, settledFigures]
	figuresEach int // more are not remembered
}

func newSettledCache(bytesMax uint64) (*settledCache, error) {
	if bytesMax == 0 {
		return nil, nil //nolint:nilnil // what remembers nothing
	}
	answers, err := otter.New(&otter.Options[settledKey, settledFigures]{
		MaximumWeight: bytesMax,
		Weigher: func(_ settledKey, of settledFigures) uint32 {
			return uint32(settledOverhead + len(of.figures)*figureBytes)
		},
		ExpiryCalculator: otter.ExpiryWriting[settledKey, settledFigures](rememberedMax),
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of settled figures: %w", err)
	}
	return &settledCache{answers: answers, figuresEach: int(min(bytesMax/settledShare/figureBytes, settledFiguresMax))}, nil
}

// find is what is remembered, and when it had been read.
func (c *settledCache) find(key settledKey) (figures []Figure, at time.Time, known bool) {
	if c == nil {
		return nil, time.Time{}, false
	}
	of, known := c.answers.GetIfPresent(key)
	if !known || of.figures == nil {
		return nil, time.Time{}, false
	}
	figures = make([]Figure, len(of.figures))
	for i, f := range of.figures {
		figures[i] = Figure{AdID: f.ad, Start: time.Unix(f.start, 0).UTC(), Clicks: f.clicks}
	}
	return figures, of.at, true
}

// knows reports whether an answer is remembered.
func (c *settledCache) knows(key settledKey) bool {
	if c == nil {
		return false
	}
	of, known := c.answers.GetIfPresent(key)
	return known && of.figures != nil
}

// tooMany reports whether an answer was found to be more than is remembered.
func (c *settledCache) tooMany(key settledKey) bool {
	of, known := c.answers.GetIfPresent(key)
	return known && of.figures == nil
}

// keepTooMany remembers that an answer is too much to be remembered.
func (c *settledCache) keepTooMany(key settledKey) {
	c.answers.Set(key, settledFigures{key: key, at: time.Now()})
}

// keep remembers an answer; nil is nothing new.
func (c *settledCache) keep(answer *settledFigures) {
	if c != nil && answer != nil && len(answer.figures) <= c.figuresEach {
		c.answers.Set(answer.key, *answer)
	}
}

// readPlan is which tables answer a question.
type readPlan struct {
	pieces        []click.Piece
	settled, rest []click.Piece // of them: see click.Settle
	ledger        click.RollupLedger
}

// plan decides which tables answer q, if the figures of these days have changed
// since they were rolled up.
func (r rolledUp) plan(q ReportQuery, changed map[click.Day]bool) readPlan {
	usable := r.ledger.Usable(changed)
	p := readPlan{pieces: click.PlanRead(q.From, q.To, q.Starts, usable), ledger: r.ledger}
	p.settled, p.rest = click.Settle(p.pieces, usable)
	return p
}

func (p readPlan) same(other readPlan) bool {
	return slices.Equal(p.settled, other.settled) && slices.Equal(p.rest, other.rest)
}

// readFigures are the figures of a plan.
type readFigures struct {
	figures []Figure
	// toKeep is what was read of settled pieces. It may be kept although a change of
	// them was announced meanwhile, and carried out by half: an announcement stays, so
	// what is kept for these versions is not used again.
	toKeep *settledFigures
	// at is when the last of it had been read, or the report was asked for if that was
	// later: behind it is looked for changes.
	at time.Time
}

// read reads the figures of a plan.
func (s *Store) read(ctx context.Context, q ReportQuery, plan readPlan) (out readFigures, err error) {
	out.at = q.asked()
	if s.settled == nil {
		out.figures, err = s.readPieces(ctx, q, plan.pieces)
		out.at = time.Now()
		return out, err
	}
	if len(plan.settled) > 0 {
		if out, err = s.readSettled(ctx, newSettledQuery(q, plan)); err != nil {
			return readFigures{}, err
		}
	}
	if len(plan.rest) > 0 {
		rest, err := s.readPieces(ctx, q, plan.rest)
		if err != nil {
			return readFigures{}, err
		}
		out.figures, out.at = addFigures(out.figures, rest), time.Now()
	}
	return out, nil
}

// settledQuery is the question about the settled pieces of a plan.
type settledQuery struct {
	sql     string
	args    []any
	key     settledKey
	rowsMax int
	asked   time.Time
}

func newSettledQuery(q ReportQuery, plan readPlan) settledQuery {
	query, args := sealedFiguresSQL(q, plan.settled)
	return settledQuery{
		sql: query, args: args, rowsMax: q.RowsMax, asked: q.asked(),
		key: settledKey(sha256.Sum256(fmt.Append(nil, query, args, plan.ledger.Versions(plan.settled)))),
	}
}

// readSettled takes what is remembered, or reads it: then there is something to
// keep, if it was not cut off.
func (s *Store) readSettled(ctx context.Context, q settledQuery) (readFigures, error) {
	if figures, at, known := s.settled.find(q.key); known {
		return readFigures{figures: figures, at: later(at, q.asked)}, nil
	}
	figures, err := s.figures(ctx, "read sealed figures", q.sql, q.args)
	if err != nil {
		return readFigures{}, err
	}
	out := readFigures{figures: figures, at: time.Now()}
	if len(figures) >= q.rowsMax {
		return out, nil
	}
	out.toKeep = &settledFigures{key: q.key, at: out.at, figures: make([]compactFigure, len(figures))}
	for i, f := range figures {
		out.toKeep.figures[i] = compactFigure{ad: f.AdID, start: f.Start.Unix(), clicks: f.Clicks}
	}
	return out, nil
}

// addFigures adds up figures of two kinds, each ascending by ad and start.
func addFigures(a, b []Figure) []Figure {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	sums := make([]Figure, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch order := cmp.Or(cmp.Compare(a[0].AdID, b[0].AdID), a[0].Start.Compare(b[0].Start)); {
		case order < 0:
			sums, a = append(sums, a[0]), a[1:]
		case order > 0:
			sums, b = append(sums, b[0]), b[1:]
		default:
			sum := a[0]
			sum.Clicks += b[0].Clicks
			sums, a, b = append(sums, sum), a[1:], b[1:]
		}
	}
	return append(append(sums, a...), b...)
}
