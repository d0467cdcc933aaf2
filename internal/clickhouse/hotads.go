package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

const (
	// hotAdsMax bounds what is found and what is listed: there are at most ten
	// hot ads for each partition at a time, and each stays for a day.
	hotAdsMax = 2_000
	// hotAdsThreads: it is nobody's figure, so it takes one thread's time.
	hotAdsThreads = 1
	hotAdsTimeout = 20 // seconds
)

// hotAdsQuery counts each ad's clicks per minute in the table's own order, so
// that its memory does not grow with the number of ads. It counts rows, not
// impressions: what is measured is load, and a repeat is load too.
const hotAdsQuery = `
SELECT ad_id, any(advertiser_id), max(clicks) AS busiest
FROM
(
    SELECT minute, advertiser_id, ad_id, count() AS clicks
    FROM clicks
    WHERE minute >= ?
    GROUP BY minute, advertiser_id, ad_id
    HAVING clicks >= ?
)
GROUP BY ad_id
ORDER BY busiest DESC, ad_id
LIMIT ?`

// LoadOfAds is how many clicks each ad had in its busiest minute since a time,
// the busiest first and none below least, and how many all ads together had in
// theirs.
func (s *Store) LoadOfAds(ctx context.Context, since time.Time, least uint64) (loads []click.AdLoad, busiest uint64, err error) {
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"optimize_aggregation_in_order": 1,
		"max_threads":                   hotAdsThreads,
		"max_execution_time":            hotAdsTimeout,
	}))
	from := click.WindowOf(since).Start()
	err = s.conn.QueryRow(ctx, `SELECT max(clicks) FROM (SELECT minute, count() AS clicks FROM clicks WHERE minute >= ? GROUP BY minute)`,
		from).Scan(&busiest)
	if err != nil {
		return nil, 0, readError("count the busiest minute", err)
	}
	rows, err := s.conn.Query(ctx, hotAdsQuery, from, least, hotAdsMax)
	if err != nil {
		return nil, 0, readError("read the load of ads", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var load click.AdLoad
		if err := rows.Scan(&load.AdID, &load.AdvertiserID, &load.Clicks); err != nil {
			return nil, 0, fmt.Errorf("read the load of ads: %w", err)
		}
		loads = append(loads, load)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, readError("read the load of ads", err)
	}
	return loads, busiest, nil
}

// HotAds are the newest rows of the ads that are spread over more than one
// partition, by ad.
func (s *Store) HotAds(ctx context.Context) ([]click.FanOut, error) {
	rows, err := s.conn.Query(ctx, `SELECT ad_id, advertiser_id, fan_out, version FROM fan_outs FINAL
		WHERE fan_out > ? ORDER BY ad_id LIMIT ?`, click.FanOutCold, hotAdsMax)
	if err != nil {
		return nil, readError("read hot ads", err)
	}
	defer func() { _ = rows.Close() }()
	var hot []click.FanOut
	for rows.Next() {
		var f click.FanOut
		if err := rows.Scan(&f.AdID, &f.AdvertiserID, &f.FanOut, &f.Version); err != nil {
			return nil, fmt.Errorf("read hot ads: %w", err)
		}
		hot = append(hot, f)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read hot ads", err)
	}
	return hot, nil
}

// SetFanOuts writes the fan-outs of ads, all or none. Writing the same again
// changes nothing: of one ad the row of the highest version counts.
func (s *Store) SetFanOuts(ctx context.Context, fanOuts []click.FanOut) error {
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO fan_outs (ad_id, advertiser_id, fan_out, version)")
	if err != nil {
		return readError("set fan-outs", err)
	}
	defer func() { _ = batch.Close() }()
	for _, f := range fanOuts {
		if err := batch.Append(f.AdID, f.AdvertiserID, f.FanOut, f.Version); err != nil {
			return fmt.Errorf("set fan-outs: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("set fan-outs", err)
	}
	return nil
}
