package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// An import stages the rows of a file and then goes through the staged ads and
// the catalogue side by side, in slices of ids, on the server. Of an ad that is
// in the file more than once the first row counts.

// judgedAds gives each ad of a slice its verdict; the numbers are those of
// click.AdVerdict. An ad that nobody can own is refused before all else.
var judgedAds = fmt.Sprintf(`
SELECT ad_id, first, repeated, owner, said,
    multiIf(owner GLOBAL NOT IN (SELECT advertiser_id FROM advertisers), %d,
        newest = 0, %d,
        owner != known_owner, %d,
        newest = {version:UInt64} AND said = known, %d,
        newest < {version:UInt64} AND said != known, %d,
        said = known, %d,
        %d) AS verdict
FROM
(
    SELECT ad_id, min(row) AS first, max(row) != min(row) AS repeated, argMin(advertiser_id, row) AS owner,
        argMin((name, landing_url, toString(status)), row) AS said
    FROM ad_imports
    WHERE import = {import:String} AND ad_id > {after:Int64} AND ad_id <= {through:Int64}
    GROUP BY ad_id
) AS staged
LEFT JOIN
(
    SELECT ad_id, max(version) AS newest, argMax(advertiser_id, version) AS known_owner,
        argMax((name, landing_url, toString(status)), version) AS known
    FROM ads
    WHERE ad_id > {after:Int64} AND ad_id <= {through:Int64} AND ad_id GLOBAL IN (
        SELECT ad_id FROM ad_imports WHERE import = {import:String} AND ad_id > {after:Int64} AND ad_id <= {through:Int64})
    GROUP BY ad_id
) AS stored USING (ad_id)`,
	click.AdOfNobody, click.AdCreated, click.AdOfAnother, click.AdStoredAlready, click.AdUpdated, click.AdUnchanged, click.AdNewer)

// StageAds stages rows of an import. Staging them again changes nothing.
func (s *Store) StageAds(ctx context.Context, importID string, rows []click.AdRow) error {
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO ad_imports (import, ad_id, row, advertiser_id, name, landing_url, status)")
	if err != nil {
		return readError("stage ads", err)
	}
	defer func() { _ = batch.Close() }()
	for i, values := range stagedColumns(importID, rows) {
		if err := batch.Column(i).Append(values); err != nil {
			return fmt.Errorf("stage ads: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("stage ads", err)
	}
	return nil
}

// stagedColumns turns rows into columns, as columnsOf does.
func stagedColumns(importID string, rows []click.AdRow) []any {
	n := len(rows)
	imports, names, urls, statuses := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	ads, numbers, advertisers := make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range rows {
		r := &rows[i]
		imports[i], ads[i], numbers[i], advertisers[i] = importID, r.Ad.ID, r.Row, r.Ad.AdvertiserID
		names[i], urls[i], statuses[i] = r.Ad.Name, r.Ad.LandingURL, string(r.Ad.Status)
	}
	return []any{imports, ads, numbers, advertisers, names, urls, statuses}
}

// NextAdSlice is the slice of an import behind an id, of some rowsMax rows.
func (s *Store) NextAdSlice(ctx context.Context, importID string, after int64, rowsMax int) (click.AdSlice, error) {
	slice := click.AdSlice{Import: importID, After: after}
	rows, err := s.conn.Query(ctx, `SELECT ad_id FROM ad_imports WHERE import = ? AND ad_id > ? ORDER BY ad_id LIMIT 1 OFFSET ?`,
		importID, after, rowsMax-1)
	if err != nil {
		return slice, readError("read what was staged", err)
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		err = rows.Scan(&slice.Through)
	} else {
		slice.Through, slice.Last = math.MaxInt64, true
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		return slice, readError("read what was staged", err)
	}
	return slice, nil
}

// JudgeAds visits every ad of a slice with its verdict, for an import of a
// version. It changes nothing.
func (s *Store) JudgeAds(ctx context.Context, slice click.AdSlice, version uint64, visit func(click.JudgedAd)) error {
	rows, err := s.conn.Query(sliceContext(ctx, slice, version), "SELECT ad_id, first, repeated, verdict FROM ("+judgedAds+")")
	if err != nil {
		return readError("judge ads", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var ad click.JudgedAd
		var repeated, verdict uint8
		if err := rows.Scan(&ad.AdID, &ad.Row, &repeated, &verdict); err != nil {
			return fmt.Errorf("judge ads: %w", err)
		}
		ad.Repeated, ad.Verdict = repeated != 0, click.AdVerdict(verdict)
		visit(ad)
	}
	if err := rows.Err(); err != nil {
		return readError("judge ads", err)
	}
	return nil
}

// RepeatedAds are the ads of a slice that are in the file more than once.
func (s *Store) RepeatedAds(ctx context.Context, slice click.AdSlice) ([]click.AdRepeat, error) {
	rows, err := s.conn.Query(sliceContext(ctx, slice, 0), `SELECT ad_id, arraySort(groupUniqArray(row)) FROM ad_imports
		WHERE import = {import:String} AND ad_id > {after:Int64} AND ad_id <= {through:Int64}
		GROUP BY ad_id HAVING max(row) != min(row) ORDER BY ad_id`)
	if err != nil {
		return nil, readError("read repeated ads", err)
	}
	defer func() { _ = rows.Close() }()
	var repeats []click.AdRepeat
	for rows.Next() {
		var r click.AdRepeat
		if err := rows.Scan(&r.AdID, &r.Rows); err != nil {
			return nil, fmt.Errorf("read repeated ads: %w", err)
		}
		repeats = append(repeats, r)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read repeated ads", err)
	}
	return repeats, nil
}

// StoreAds writes the ads of a slice that are new or say something new, with
// the import's version. It may be repeated: they replace themselves, and what
// has a higher version by then stays.
func (s *Store) StoreAds(ctx context.Context, slice click.AdSlice, version uint64) error {
	err := s.conn.Exec(sliceContext(ctx, slice, version), fmt.Sprintf(`INSERT INTO ads (%s)
		SELECT ad_id, owner, said.1, said.2, said.3, {version:UInt64} FROM (%s) WHERE verdict IN (%d, %d)`,
		adColumns, judgedAds, click.AdCreated, click.AdUpdated))
	if err != nil {
		return readError("store ads", err)
	}
	return nil
}

// DropStagedAds forgets what an import has staged. Forgetting it again is no
// error.
func (s *Store) DropStagedAds(ctx context.Context, importID string) error {
	if err := s.home.Exec(ctx, "ALTER TABLE ad_imports_local DROP PARTITION ?", importID); err != nil {
		return readError("drop staged ads", err)
	}
	return nil
}

func sliceContext(ctx context.Context, slice click.AdSlice, version uint64) context.Context {
	return ch.Context(ctx, ch.WithParameters(ch.Parameters{
		"import": slice.Import, "after": strconv.FormatInt(slice.After, 10), "through": strconv.FormatInt(slice.Through, 10),
		"version": strconv.FormatUint(version, 10),
	}))
}
