package main

import (
	"fmt"
	"time"

	"clickledger/internal/click"
)

// What is filled in is made by ClickHouse from numbers: the same each time.
//
// Advertiser number n of N has N/n^0.7 ads. Which of an advertiser's ads are
// clicked follows their rank: the first in 600 minutes of each day if the
// advertiser is large, the next ones in ever fewer. The five first ads of the
// largest advertisers are clicked in every minute.
const (
	advertisersAll   = 100_000
	sizeExponent     = 0.7
	hotAdvertisers   = 20
	hotAds           = 5
	steadyOf         = 1_500 // the advertisers whose first ad is clicked in 600 minutes of a day
	hottestClicks    = 400
	clicksOfFullDay  = 200_000_000
	clicksOfFlush    = 600_000
	flushes          = 5 // minutes at the end of the full day that are left to be flushed
	lastMinuteOfDay  = 1440
	restatedOneOf    = 200
	filteredOneOf    = 50
	offsetsChecked   = "9000000000000000000" // of every seal: nothing is late
	advertiserIDStep = 92_000_000_000_000
	adIDSpan         = 9_000_000_000_000_000_000
	rankPrime        = 104_729 // beyond the largest advertiser's ads, so it permutes them
)

// world is the sizes of what is filled in, at a scale.
type world struct {
	advertisers int
	days        int
	end         click.Day // the first one without figures
	hot         int
	steady      int
	hottest     int // clicks a minute of the largest advertiser's first ads
	fullDay     int // clicks of the last day
	flushClicks int // of one minute
	partitions  int
}

func newWorld(s settings, partitions int32, now time.Time) world {
	scaled := func(all, least int) int { return max(int(float64(all)*s.Scale), least) }
	return world{
		advertisers: scaled(advertisersAll, 100),
		days:        s.Days,
		// A day between them and the clicks that are made: what is counted of today
		// is the programs' own.
		end:         click.DayOf(now).Add(-1),
		hot:         scaled(hotAdvertisers, 3),
		steady:      scaled(steadyOf, 5),
		hottest:     scaled(hottestClicks, 20),
		fullDay:     scaled(clicksOfFullDay, 1),
		flushClicks: scaled(clicksOfFlush, 100),
		partitions:  int(partitions),
	}
}

func (w world) begin() click.Day { return w.end.Add(-w.days) }
func (w world) last() click.Day  { return w.end.Add(-1) }

// flushFrom is the first of the minutes that are left to be flushed.
func (w world) flushFrom() time.Time { return w.end.Start().Add(-flushes * click.WindowLength) }

// version is that of all figures of a day: as if they were all flushed an hour
// after its end.
func version(d click.Day) uint64 { return uint64(d.End().Add(time.Hour).UnixMicro()) }

// Expressions of ClickHouse: of the advertiser with number n, its ads, and the
// ad in place j of them, by id.

func (w world) sizeSQL(n string) string {
	return fmt.Sprintf("greatest(toUInt64(floor(%d / pow(%s, %v))), 1)", w.advertisers, n, sizeExponent)
}

func advertiserSQL(n string) string {
	return fmt.Sprintf("toInt64(%s * %d + cityHash64('advertiser', %s) %% %d)", n, advertiserIDStep, n, advertiserIDStep)
}

// adSQL spreads an advertiser's ads among those of all others, as random ids
// are.
func adSQL(n, size, j string) string {
	step := fmt.Sprintf("intDiv(%d, %s)", int64(adIDSpan), size)
	return fmt.Sprintf("toInt64(%[3]s * %[1]s + cityHash64('ad', %[2]s, %[3]s) %% %[1]s + 1)", step, n, j)
}

// adsSQL is all ads with what is clicked of them: in how many minutes of a day,
// and how often in each.
func (w world) adsSQL() string {
	return fmt.Sprintf(`SELECT n, %s AS advertiser_id, %s AS ad_id, toUInt32(j * %d %% size + 1) AS ad_rank,
       toFloat32(multiIf(n <= %d AND ad_rank <= %d, %d, n <= %d AND ad_rank = 1, 600, least(%d, if(n = 1, 4, 1) * 0.42 * size / 31 / ad_rank))) AS minutes,
       toUInt32(multiIf(n = 1 AND ad_rank <= %d, %d, n <= %d AND ad_rank <= %d, 100, ad_rank = 1 AND n <= %d, 10, n = 1, 8, 2)) AS mean
FROM
(
    SELECT number + 1 AS n, %s AS size, arrayJoin(range(size)) AS j FROM numbers(%d)
)`, advertiserSQL("n"), adSQL("n", "size", "j"), rankPrime,
		w.hot, hotAds, lastMinuteOfDay, w.steady, lastMinuteOfDay,
		hotAds, w.hottest, w.hot, hotAds, w.steady, w.sizeSQL("n"), w.advertisers)
}

// minutesSQL is the figures of all ads of a day, in the order of the table. An
// ad that is clicked in few minutes is so within four hours.
func (w world) minutesSQL(d click.Day, boost int) string {
	return fmt.Sprintf(`SELECT advertiser_id, ad_id, toDateTime(%d + 60 * (starts + intDiv((i * 65536 + shift) * span, m * 65536)), 'UTC') AS minute,
       toUInt64(1 + intHash32(hash + i) %% (2 * mean - 1)) * %d, toUInt64(%d)
FROM
(
    SELECT advertiser_id, ad_id, mean, cityHash64(ad_id, %d) AS hash, hash %% 65536 AS shift,
           toUInt64(floor(minutes + (bitShiftRight(hash, 16) %% 65536) / 65536)) AS m,
           if(m >= 240, 1440, 240) AS span, if(m >= 240, 0, bitShiftRight(hash, 32) %% 1201) AS starts
    FROM bench_ads
    WHERE m > 0
)
ARRAY JOIN range(m) AS i
WHERE minute < toDateTime(%d, 'UTC')`, d.Start().Unix(), boost, version(d), d.Since(w.begin()), w.flushFrom().Unix())
}

// clicksSQL is the clicks behind figures: as many impressions as each says, in
// the order of the table. FROM is a query of (minute, advertiser_id, ad_id,
// clicks) in that order.
func (w world) clicksSQL(from string) string {
	return fmt.Sprintf(`SELECT minute, advertiser_id, ad_id,
       reinterpret(bitOr(toUInt128(bitOr(bitShiftLeft(toUInt64(toUnixTimestamp(minute)) * 1000 - 1000 - (hash + i * 7919) %% 20000, 16), 28672 + hash %% 4096)),
           bitShiftLeft(toUInt128(bitOr(bitOr(toUInt64(9223372036854775808), bitShiftLeft(toUInt64(i), 46)), cityHash64(hash, i) %% 70368744177664)), 64)), 'UUID') AS impression_id,
       fromUnixTimestamp64Milli(toInt64(toUnixTimestamp(minute)) * 1000 + intDiv(i * 60000, clicks), 'UTC') AS clicked_at,
       reinterpret(bitOr(toUInt128(toUnixTimestamp(minute)), bitShiftLeft(toUInt128(place + i), 64)), 'UUID') AS arrival_id,
       toInt32(hash %% %d) AS partition, toInt64(place + i) AS offset
FROM
(
    SELECT minute, advertiser_id, ad_id, clicks, cityHash64(ad_id, minute) AS hash, rowNumberInAllBlocks() * 65536 AS place FROM (%s)
)
ARRAY JOIN range(clicks) AS i`, w.partitions, from)
}

// storedSQL is the figures that are filled in of some ads in [from, to).
func storedSQL(ads string, from, to time.Time) string {
	return fmt.Sprintf(`SELECT minute, advertiser_id, ad_id, clicks FROM clicks_per_minute_local
PREWHERE minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC') WHERE %s ORDER BY minute, advertiser_id, ad_id`, from.Unix(), to.Unix(), ads)
}

// flushedSQL is what is clicked in a minute that is left to be flushed: any of
// the ads, the large advertisers' and each one's first ones more than others.
func (w world) flushedSQL(minute time.Time) string {
	return fmt.Sprintf(`SELECT minute, advertiser_id, ad_id, count() AS clicks
FROM
(
    SELECT toDateTime(%[1]d, 'UTC') AS minute, cityHash64(number, %[1]d) AS drawn,
           toUInt64(1 + floor(%[2]d * pow((drawn %% 16777216) / 16777216, 3))) AS n, %[3]s AS size,
           toUInt64(floor(size * pow((bitShiftRight(drawn, 32) %% 16777216) / 16777216, 4))) AS j,
           %[4]s AS advertiser_id, %[5]s AS ad_id
    FROM numbers(%[6]d)
)
GROUP BY minute, advertiser_id, ad_id ORDER BY minute, advertiser_id, ad_id`,
		minute.Unix(), w.advertisers, w.sizeSQL("n"), advertiserSQL("n"), adSQL("n", "size", "j"), w.flushClicks)
}
