package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/google/uuid"

	"clickledger/internal/click"
)

const (
	// streamBlock is how many impressions StreamImpressions hands over at once.
	streamBlock = 50_000
)

// storedQuery finds which impressions of the external table wanted are stored.
// The table goes to the server with the query, and from it to every shard.
const storedQuery = `
SELECT DISTINCT impression_id FROM clicks FINAL
WHERE minute >= ? AND minute <= ?
  AND (advertiser_id, ad_id, impression_id) IN (SELECT advertiser_id, ad_id, impression_id FROM wanted)`

// StoredAmong reports for each of clicks whether its impression is stored
// already, whatever the window. Tokens are valid for validity: a click of an
// impression can only be in a window from its issue on to its end.
//
// It is exact, for impressions that the seen index has forgotten. All are asked
// about in one query, however many: each query reads the same windows, so many
// small ones would take longer than a try may.
func (s *Store) StoredAmong(ctx context.Context, clicks []click.Placed, validity time.Duration) ([]bool, error) {
	stored := make([]bool, len(clicks))
	if len(clicks) == 0 {
		return stored, nil
	}
	wanted, err := wantedTable(clicks)
	if err != nil {
		return nil, fmt.Errorf("look up impressions: %w", err)
	}
	from, to := clicks[0].Impression.IssuedAt(), clicks[0].Impression.IssuedAt()
	for i := range clicks {
		issued := clicks[i].Impression.IssuedAt()
		from, to = earlier(from, issued), later(to, issued)
	}
	found := make(map[click.ImpressionID]bool, len(clicks))
	err = s.eachImpression(ch.Context(ctx, ch.WithExternalTable(wanted)), storedQuery, func(id click.ImpressionID) error {
		found[id] = true
		return nil
	}, click.SeenWindow(from), click.WindowOf(to.Add(validity)).Start())
	if err != nil {
		return nil, readError("look up impressions", err)
	}
	for i := range clicks {
		stored[i] = found[clicks[i].Impression]
	}
	return stored, nil
}

func wantedTable(clicks []click.Placed) (*ext.Table, error) {
	table, err := ext.NewTable("wanted",
		ext.Column("advertiser_id", "Int64"), ext.Column("ad_id", "Int64"), ext.Column("impression_id", "UUID"))
	if err != nil {
		return nil, err
	}
	for i := range clicks {
		if err := table.Append(clicks[i].AdvertiserID, clicks[i].AdID, uuid.UUID(clicks[i].Impression)); err != nil {
			return nil, err
		}
	}
	return table, nil
}

// StreamImpressions calls each with the counted impressions issued at or after
// since, in blocks of at most 50,000 and in no order that can be relied on. Its
// memory does not grow with their number. The slice is used again after each.
func (s *Store) StreamImpressions(ctx context.Context, since time.Time, each func([]click.ImpressionID) error) error {
	return s.StreamSpan(ctx, since, click.SeenWindow(since), time.Time{}, each)
}

// StreamSpan is StreamImpressions for the clicks of the minutes in [from, to)
// only; a zero to is no bound.
func (s *Store) StreamSpan(ctx context.Context, since, from, to time.Time, each func([]click.ImpressionID) error) error {
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"max_execution_time": 0}))
	block := make([]click.ImpressionID, 0, streamBlock)
	var eachErr error // the caller's own, to be told from the store's
	query, bounds := "SELECT impression_id FROM clicks FINAL WHERE minute >= ?", []any{from}
	if !to.IsZero() {
		query, bounds = query+" AND minute < ?", append(bounds, to)
	}
	err := s.eachImpression(ctx, query, func(id click.ImpressionID) error {
		if id.IssuedAt().Before(since) {
			return nil
		}
		if block = append(block, id); len(block) == streamBlock {
			eachErr = each(block)
			block = block[:0]
		}
		return eachErr
	}, bounds...)
	if eachErr != nil {
		return eachErr
	}
	if err != nil {
		return readError("stream impressions", err)
	}
	if len(block) == 0 {
		return nil
	}
	return each(block)
}

// eachImpression runs a query of one column of impression ids.
func (s *Store) eachImpression(ctx context.Context, query string, each func(click.ImpressionID) error, args ...any) error {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var id uuid.UUID
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return err
		}
		if err := each(click.ImpressionID(id)); err != nil {
			return err
		}
	}
	return rows.Err()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
