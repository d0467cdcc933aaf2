package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"clickledger/internal/click"
)

const insertClicks = `INSERT INTO clicks
(minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset)`

// InsertClicks stores clicks, each in the window of its event time, and returns
// when they are durable. Storing the same clicks again changes no count: a row
// of the same window, ad and impression replaces itself.
//
// An error may leave all, some or none of them stored. It wraps
// click.ErrRejected only when the server refused the data itself; whatever else
// it wraps, the same insert may be tried again.
func (s *Store) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	if len(clicks) == 0 {
		return nil
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		// Late clicks may be spread over many days; that is no reason to refuse.
		"max_partitions_per_insert_block": 0,
	}))
	batch, err := s.conn.PrepareBatch(ctx, insertClicks)
	if err != nil {
		return insertError(err)
	}
	defer func() { _ = batch.Close() }()
	for i, values := range columnsOf(clicks) {
		if err := batch.Column(i).Append(values); err != nil {
			return insertError(err)
		}
	}
	if err := batch.Send(); err != nil {
		return insertError(err)
	}
	return nil
}

// CheckClicks reports whether clicks can be read, and so likely stored. The
// error wraps click.ErrUnavailable while the server or its schema is not there;
// a wrong password, say, it does not.
func (s *Store) CheckClicks(ctx context.Context) error {
	if err := s.conn.Exec(ctx, "SELECT impression_id FROM clicks LIMIT 0"); err != nil {
		return readError("look at clicks", err)
	}
	return nil
}

// columnsOf turns rows into the columns of insertClicks: whole slices are
// appended, which costs a fifth of appending row by row.
func columnsOf(clicks []click.Placed) []any {
	n := len(clicks)
	minutes, clickedAt := make([]time.Time, n), make([]time.Time, n)
	advertisers, ads, offsets := make([]int64, n), make([]int64, n), make([]int64, n)
	impressions, arrivals := make([]uuid.UUID, n), make([]uuid.UUID, n)
	partitions := make([]int32, n)
	for i := range clicks {
		c := &clicks[i]
		minutes[i], clickedAt[i] = click.WindowOf(c.ClickedAt).Start(), c.ClickedAt
		advertisers[i], ads[i] = c.AdvertiserID, c.AdID
		impressions[i], arrivals[i] = uuid.UUID(c.Impression), uuid.UUID(c.Arrival)
		partitions[i], offsets[i] = c.Partition, c.Offset
	}
	return []any{minutes, advertisers, ads, impressions, clickedAt, arrivals, partitions, offsets}
}

// Codes of ClickHouse exceptions that can only mean that a value is not
// acceptable, from its src/Common/ErrorCodes.cpp.
const (
	codeTypeMismatch         = 53
	codeArgumentOutOfBound   = 69
	codeCannotConvertType    = 70
	codeValueOutOfRange      = 321
	codeNullInOrdinaryColumn = 349
	codeDecimalOverflow      = 407
	codeViolatedConstraint   = 469
)

// insertError tells data that the server refuses from everything else. What is
// not certainly the data's fault is worth trying again: taking an outage for
// bad data would throw good clicks away.
func insertError(err error) error {
	var exception *ch.Exception
	if !errors.As(err, &exception) {
		return fmt.Errorf("insert clicks: %w: %w", click.ErrUnavailable, err)
	}
	if refusesData(exception) {
		return fmt.Errorf("insert clicks: %w: %w", click.ErrRejected, err)
	}
	return fmt.Errorf("insert clicks: %w", err)
}

// refusesData reports whether an exception can only mean that a value is not
// acceptable.
func refusesData(exception *ch.Exception) bool {
	switch exception.Code {
	case codeTypeMismatch, codeArgumentOutOfBound, codeCannotConvertType, codeValueOutOfRange,
		codeNullInOrdinaryColumn, codeDecimalOverflow, codeViolatedConstraint:
		return true
	default:
		return false
	}
}
