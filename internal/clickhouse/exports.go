package clickhouse

import (
	"context"
	"fmt"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"clickledger/internal/click"
)

// exportThreads: an export is nobody's figure, so it takes one thread's time.
const exportThreads = 1

const (
	advertiserColumns  = "advertiser_id, name, version"
	fanOutColumns      = "ad_id, advertiser_id, fan_out, version"
	restatementColumns = "advertiser_id, ad_id, minute, replaced_version, at, before, after, reason"
	sealColumns        = "minute, version, state, sealed_at"
)

// The newest row of each key is handed to visit, as it comes: what is read at a
// time does not depend on how many there are. An error of visit ends it.

// EachAdvertiser visits all advertisers.
func (s *Store) EachAdvertiser(ctx context.Context, visit func(click.AdvertiserRow) error) error {
	return each(ctx, s, click.ExportAdvertisers, advertiserColumns, visit, func(rows driver.Rows) (a click.AdvertiserRow, err error) {
		err = rows.Scan(&a.ID, &a.Name, &a.Version)
		return a, err
	})
}

// EachAd visits all ads. Their fan-outs are apart: see EachFanOut.
func (s *Store) EachAd(ctx context.Context, visit func(click.Ad) error) error {
	return each(ctx, s, click.ExportAds, adColumns, visit, func(rows driver.Rows) (ad click.Ad, err error) {
		var status string
		err = rows.Scan(&ad.ID, &ad.AdvertiserID, &ad.Name, &ad.LandingURL, &status, &ad.Version)
		ad.Status, ad.FanOut = click.AdStatus(status), click.FanOutCold
		return ad, err
	})
}

// EachFanOut visits the fan-outs of all ads that ever were hot.
func (s *Store) EachFanOut(ctx context.Context, visit func(click.FanOut) error) error {
	return each(ctx, s, click.ExportFanOuts, fanOutColumns, visit, func(rows driver.Rows) (f click.FanOut, err error) {
		err = rows.Scan(&f.AdID, &f.AdvertiserID, &f.FanOut, &f.Version)
		return f, err
	})
}

// EachAPIKey visits all keys, the revoked and expired ones too.
func (s *Store) EachAPIKey(ctx context.Context, visit func(click.APIKey) error) error {
	return each(ctx, s, click.ExportAPIKeys, keyColumns, visit, scanKey)
}

// EachRestatement visits all restatements, those that were taken back too.
func (s *Store) EachRestatement(ctx context.Context, visit func(click.Restatement) error) error {
	return each(ctx, s, click.ExportRestatements, restatementColumns, visit, func(rows driver.Rows) (r click.Restatement, err error) {
		err = rows.Scan(&r.AdvertiserID, &r.AdID, &r.Minute, &r.ReplacedVersion, &r.At, &r.Before, &r.After, &r.Reason)
		r.Minute, r.At = r.Minute.UTC(), r.At.UTC()
		return r, err
	})
}

// EachSeal visits all seals there ever were, with when each was entered first.
func (s *Store) EachSeal(ctx context.Context, visit func(click.SealTime) error) error {
	return each(ctx, s, click.ExportSeals, sealColumns, visit, func(rows driver.Rows) (seal click.SealTime, err error) {
		err = rows.Scan(&seal.Minute, &seal.Version, &seal.State, &seal.At)
		seal.Minute, seal.At = seal.Minute.UTC(), seal.At.UTC()
		return seal, err
	})
}

func each[T any](ctx context.Context, s *Store, table click.ExportTable, columns string, visit func(T) error, scan func(driver.Rows) (T, error)) error {
	what := "read all of " + string(table)
	ctx, cancel := context.WithCancel(ch.Context(ctx, ch.WithSettings(ch.Settings{"max_threads": exportThreads})))
	defer cancel()
	rows, err := s.conn.Query(ctx, "SELECT "+columns+" FROM "+string(table)+" FINAL")
	if err != nil {
		return readError(what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := visit(row); err != nil {
			cancel() // else closing would read the rest
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return readError(what, err)
	}
	return nil
}

// RowsOf is how many rows a table has, of each key the newest.
func (s *Store) RowsOf(ctx context.Context, table click.ExportTable) (int64, error) {
	var rows uint64
	if err := s.conn.QueryRow(ctx, "SELECT count() FROM "+string(table)+" FINAL").Scan(&rows); err != nil {
		return 0, readError("count "+string(table), err)
	}
	return int64(rows), nil
}

// What is inserted keeps the versions it comes with: of each key the highest
// version counts, so a newer row that is there already stays, and inserting the
// same again changes nothing.

// InsertAdvertisers writes advertisers, all or none.
func (s *Store) InsertAdvertisers(ctx context.Context, advertisers []click.AdvertiserRow) error {
	return insertAll(ctx, s, click.ExportAdvertisers, advertiserColumns, advertisers, func(a *click.AdvertiserRow) []any {
		return []any{a.ID, a.Name, a.Version}
	})
}

// InsertAPIKeys writes versions of keys, all or none.
func (s *Store) InsertAPIKeys(ctx context.Context, keys []click.APIKey) error {
	return insertAll(ctx, s, click.ExportAPIKeys, keyColumns, keys, keyRow)
}

// InsertRestatements writes restatements, all of a shard or none.
func (s *Store) InsertRestatements(ctx context.Context, restatements []click.Restatement) error {
	return insertAll(ctx, s, click.ExportRestatements, restatementColumns, restatements, func(r *click.Restatement) []any {
		return []any{r.AdvertiserID, r.AdID, r.Minute, r.ReplacedVersion, r.At, r.Before, r.After, r.Reason}
	})
}

// InsertSeals writes into the history of seals, all or none. The ledger itself is
// not touched.
func (s *Store) InsertSeals(ctx context.Context, seals []click.SealTime) error {
	return insertAll(ctx, s, click.ExportSeals, sealColumns, seals, func(seal *click.SealTime) []any {
		return []any{seal.Minute, seal.Version, seal.State, seal.At}
	})
}

func insertAll[T any](ctx context.Context, s *Store, table click.ExportTable, columns string, rows []T, row func(*T) []any) error {
	what := "insert " + string(table)
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+string(table)+" ("+columns+")")
	if err != nil {
		return readError(what, err)
	}
	defer func() { _ = batch.Close() }()
	for i := range rows {
		if err := batch.Append(row(&rows[i])...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError(what, err)
	}
	return nil
}
