package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"clickledger/internal/click"
)

// grounds are what a schedule of crashes stores into: servers, or what keeps
// their contracts in memory.
type grounds struct {
	store interface {
		store
		StreamImpressions(ctx context.Context, since time.Time, each func([]click.ImpressionID) error) error
	}
	seen interface {
		seenIndex
		BeginRebuild(ctx context.Context, nonce string, shards []int) (runID string, err error)
		FinishRebuild(ctx context.Context, nonce, runID string) (bool, error)
		Drop(ctx context.Context) error
	}
	// counted are the rows of an advertiser, as the reports count them.
	counted func(ctx context.Context, advertiser int64) ([]countedRow, error)
}

// countedRow is one click of the reports.
type countedRow struct {
	impression click.ImpressionID
	window     click.Window
	position   click.Position
}

// refusedMillisecond makes a click that the store refuses for its data.
const refusedMillisecond = 13

func refused(c click.Placed) bool { return c.ClickedAt.UnixMilli()%1000 == refusedMillisecond }

// tableKey is what the store's clicks are replaced by.
type tableKey struct {
	window         click.Window
	advertiser, ad int64
	impression     click.ImpressionID
}

// table keeps the contract of the store's clicks: a row replaces the one of its
// key, a refused insert stores nothing.
type table struct {
	mu   sync.Mutex
	rows map[tableKey]click.Placed
}

func newTable() *table { return &table{rows: map[tableKey]click.Placed{}} }

func (s *table) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, c := range clicks {
		if refused(c) {
			return fmt.Errorf("insert: %w", click.ErrRejected)
		}
	}
	for _, c := range clicks {
		s.rows[tableKey{click.WindowOf(c.ClickedAt), c.AdvertiserID, c.AdID, c.Impression}] = c
	}
	return nil
}

func (s *table) has(ids []click.ImpressionID) []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := map[click.ImpressionID]bool{}
	for key := range s.rows {
		stored[key.impression] = true
	}
	found := make([]bool, len(ids))
	for i, id := range ids {
		found[i] = stored[id]
	}
	return found
}

func (s *table) StoredAmong(_ context.Context, clicks []click.Placed, _ time.Duration) ([]bool, error) {
	return s.has(impressionsOf(clicks)), nil
}

// InsertFiltered takes what is not counted; nothing here looks at it.
func (s *table) InsertFiltered(context.Context, []click.Filtered) error { return nil }

func (s *table) CheckClicks(context.Context) error { return nil }

// StreamImpressions reads the rows as they are at one moment, like a query.
func (s *table) StreamImpressions(_ context.Context, since time.Time, each func([]click.ImpressionID) error) error {
	s.mu.Lock()
	var ids []click.ImpressionID
	for key := range s.rows {
		if !key.impression.IssuedAt().Before(since) {
			ids = append(ids, key.impression)
		}
	}
	s.mu.Unlock()
	return each(ids)
}

func (s *table) counted(_ context.Context, advertiser int64) ([]countedRow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []countedRow
	for key, c := range s.rows {
		if key.advertiser == advertiser {
			rows = append(rows, countedRow{key.impression, key.window, c.Position})
		}
	}
	return rows, nil
}

// index keeps the contract of the seen index: all of it may vanish between any
// two of its commands, and its sentinel with it; a set whose time is over is
// gone.
type index struct {
	mu                 sync.Mutex
	sentinel, building string
	seen               map[click.ImpressionID]bool

	stored  func([]click.ImpressionID) []bool
	violate func(string) // told when something not stored is marked
}

func newIndex() *index { return &index{seen: map[click.ImpressionID]bool{}} }

// command is one command to the server; others run between two.
func (x *index) command(do func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	do()
}

func (x *index) Ask(_ context.Context, ids []click.ImpressionID) ([]bool, error) {
	var before, after string
	x.command(func() { before = x.sentinel })
	seen := make([]bool, len(ids))
	for i, id := range ids {
		x.command(func() { seen[i] = x.seen[id] })
	}
	x.command(func() { after = x.sentinel })
	if before == "" || before != after {
		return nil, click.ErrSeenNotReady
	}
	return seen, nil
}

func (x *index) Mark(_ context.Context, ids []click.ImpressionID) error {
	for i, stored := range x.stored(ids) {
		if !stored {
			x.violate(fmt.Sprintf("impression %s was marked as seen but is not stored", ids[i]))
		}
	}
	for _, id := range ids {
		x.command(func() {
			if time.Now().Before(click.SeenKeyOf(id, 1).Expiry(validity)) {
				x.seen[id] = true
			}
		})
	}
	return nil
}

func (x *index) Remembers(id click.ImpressionID, now time.Time) bool {
	return click.SeenRemembers(id, validity, now)
}

func (x *index) Complete(context.Context) (complete bool, err error) {
	x.command(func() { complete = x.sentinel != "" })
	return complete, nil
}

func (x *index) BeginRebuild(_ context.Context, nonce string, _ []int) (runID string, err error) {
	x.command(func() { x.building = nonce })
	return "run", nil
}

func (x *index) FinishRebuild(_ context.Context, nonce, _ string) (done bool, err error) {
	x.command(func() {
		if done = x.building == nonce; done {
			x.sentinel, x.building = nonce, ""
		}
	})
	return done, nil
}

func (x *index) Drop(context.Context) error {
	x.command(func() { x.sentinel, x.building, x.seen = "", "", map[click.ImpressionID]bool{} })
	return nil
}
