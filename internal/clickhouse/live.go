package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// liveQuerySeconds is short: it is asked again in a moment.
const liveQuerySeconds = 5

// LiveQuery asks for minutes of the series of many advertisers at once.
type LiveQuery struct {
	Sums     []int64    // of these advertisers, the sum of all ads
	ByAd     []int64    // of these, each ad
	Ads      [][2]int64 // these ads: advertiser, ad
	From, To time.Time  // whole minutes, half-open
	Minutes  []time.Time
	// FiguresMax is how many figures of ads there may be of one advertiser; the
	// answer is cut off behind one more.
	FiguresMax int
}

// LiveFigure is a number of one minute of one series; AdID is 0 for the sum.
type LiveFigure struct {
	AdvertiserID, AdID int64
	Minute             time.Time
	Number             uint64
}

// LiveFresh is FreshFigures for many advertisers, by the minute.
func (s *Store) LiveFresh(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	return s.live(ctx, "count fresh clicks", liveFreshSQL(q))
}

// LiveSealed is SealedFigures for many advertisers, by the minute.
func (s *Store) LiveSealed(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	return s.live(ctx, "read sealed figures", liveSealedSQL(q))
}

// LiveRestated are the minutes in which a figure was corrected after it had been
// final; Number is 0 in them. Read them after the figures, as RestatedPoints.
func (s *Store) LiveRestated(ctx context.Context, q LiveQuery) ([]LiveFigure, error) {
	return s.live(ctx, "read restatements", liveRestatedSQL(q))
}

// LiveSeals is the version of each seal of a minute in a range, of all
// advertisers. A minute's figures were written before its seal.
func (s *Store) LiveSeals(ctx context.Context, from, to time.Time) ([]LiveFigure, error) {
	return s.live(ctx, "read seals", liveSealsSQL(from, to))
}

// LiveAnnounced is the newest version that was announced for each minute of
// these advertisers, or, as advertiser 0, of all: until the minute's seal has it,
// its figures may change at any moment. See planRead.
func (s *Store) LiveAnnounced(ctx context.Context, advertisers []int64, from, to time.Time) ([]LiveFigure, error) {
	return s.live(ctx, "read what was announced", liveAnnouncedSQL(advertisers, from, to))
}

func liveFreshSQL(q LiveQuery) string {
	return q.union(func(series, where string, limit string) string {
		return fmt.Sprintf(`SELECT advertiser_id, %s AS series, toInt64(toUnixTimestamp(minute)) AS start, count() AS number
FROM clicks FINAL
WHERE %s
GROUP BY advertiser_id, series, minute%s`, series, where, limit)
	}, "")
}

func liveSealedSQL(q LiveQuery) string {
	return q.union(func(_, where string, limit string) string {
		return fmt.Sprintf(`SELECT advertiser_id, ad_id AS series, toInt64(toUnixTimestamp(minute)) AS start, clicks AS number
FROM clicks_per_minute FINAL
WHERE %s AND clicks > 0%s`, where, limit)
	}, " AND ad_id = 0")
}

func liveRestatedSQL(q LiveQuery) string {
	return q.union(func(_, where string, limit string) string {
		return fmt.Sprintf(`SELECT advertiser_id, ad_id AS series, toInt64(toUnixTimestamp(minute)) AS start, toUInt64(0) AS number
FROM restatements FINAL
WHERE %s AND before != after
GROUP BY advertiser_id, ad_id, minute%s`, where, limit)
	}, " AND ad_id = 0")
}

func liveSealsSQL(from, to time.Time) string {
	return fmt.Sprintf(`SELECT toInt64(0), toInt64(0), toInt64(toUnixTimestamp(minute)), version
FROM windows FINAL
WHERE %s AND state IN ('%s', '%s')`, inRange(from, to), stateSealed, stateEarlier)
}

func liveAnnouncedSQL(advertisers []int64, from, to time.Time) string {
	return fmt.Sprintf(`SELECT advertiser_id, toInt64(0), toInt64(toUnixTimestamp(minute)), toUInt64(max(toUnixTimestamp64Micro(at)))
FROM restatements
WHERE advertiser_id IN (0, %s) AND %s
GROUP BY advertiser_id, minute`, idList(advertisers), inRange(from, to))
}

// union puts the question for the sums and that for the ads together: each is
// found by the key. Of a table of figures, ofSums selects the rows of the sums;
// the clicks have none.
func (q LiveQuery) union(question func(series, where, limit string) string, ofSums string) string {
	within := inRange(q.From, q.To)
	if len(q.Minutes) > 0 {
		within += " AND toUnixTimestamp(minute) IN (" + unixList(q.Minutes) + ")"
	}
	var parts []string
	if len(q.Sums) > 0 {
		parts = append(parts, question("toInt64(0)", within+ofSums+" AND advertiser_id IN ("+idList(q.Sums)+")", ""))
	}
	if ads := q.ads(); ads != "" {
		// The advertisers once more, by themselves: by pairs no shard is told from another.
		within += " AND advertiser_id IN (" + idList(q.advertisersOfAds()) + ")"
		parts = append(parts, question("ad_id", within+" AND ad_id != 0 AND ("+ads+")", fmt.Sprintf("\nLIMIT %d BY advertiser_id", q.FiguresMax+1)))
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

func (q LiveQuery) ads() string {
	var conditions []string
	if len(q.ByAd) > 0 {
		conditions = append(conditions, "advertiser_id IN ("+idList(q.ByAd)+")")
	}
	if len(q.Ads) > 0 {
		pairs := make([]string, len(q.Ads))
		for i, of := range q.Ads {
			pairs[i] = fmt.Sprintf("(%d,%d)", of[0], of[1])
		}
		conditions = append(conditions, "(advertiser_id, ad_id) IN ("+strings.Join(pairs, ",")+")")
	}
	return strings.Join(conditions, " OR ")
}

func (q LiveQuery) advertisersOfAds() []int64 {
	advertisers := slices.Clone(q.ByAd)
	for _, of := range q.Ads {
		advertisers = append(advertisers, of[0])
	}
	slices.Sort(advertisers)
	return slices.Compact(advertisers)
}

func inRange(from, to time.Time) string {
	return fmt.Sprintf("minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC')", from.Unix(), to.Unix())
}

// idList is ids with commas between.
func idList(ids []int64) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(texts, ",")
}

func (s *Store) live(ctx context.Context, what, query string) ([]LiveFigure, error) {
	if query == "" {
		return nil, nil
	}
	// It is for many, so its rows are not those that one report may read: its
	// time bounds it.
	rows, err := s.conn.Query(s.limited(ctx, liveQuerySeconds, ch.Settings{"max_rows_to_read": 0, "max_rows_to_read_leaf": 0}), query)
	if err != nil {
		return nil, readError(what, err)
	}
	defer func() { _ = rows.Close() }()
	var figures []LiveFigure
	for rows.Next() {
		var f LiveFigure
		var start int64
		if err := rows.Scan(&f.AdvertiserID, &f.AdID, &start, &f.Number); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		f.Minute = click.WindowOf(time.Unix(start, 0)).Start()
		figures = append(figures, f)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(what, err)
	}
	return figures, nil
}
