package clickhouse

import (
	"context"
	"fmt"
	"slices"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// lakeTables are what a session finds out.
var lakeTables = []string{
	// Of each place (a minute, an advertiser's ad) partial counts, to be summed.
	`CREATE TEMPORARY TABLE places
	(
		minute DateTime('UTC'), advertiser_id Int64, ad_id Int64,
		lake UInt64, lake_hash UInt64,       -- clicks that count, by the lake
		judged UInt64, judged_hash UInt64,   -- stored clicks that the lake must have
		stored UInt64, flushed UInt64,       -- stored clicks, and those the minute's seal has read
		figure UInt64
	) ENGINE = MergeTree ORDER BY (minute, advertiser_id, ad_id)`,
	// The places at which both sides may have other clicks.
	`CREATE TEMPORARY TABLE differ (minute DateTime('UTC'), advertiser_id Int64, ad_id Int64)
	ENGINE = MergeTree ORDER BY (minute, advertiser_id, ad_id)`,
	// Impressions that were clicked more than once.
	`CREATE TEMPORARY TABLE repeated (impression_id FixedString(16)) ENGINE = MergeTree ORDER BY impression_id`,
	// The impressions that the lake has at such places.
	`CREATE TEMPORARY TABLE wanted (impression_id FixedString(16)) ENGINE = MergeTree ORDER BY impression_id`,
	// The clicks that one side has and the other has not.
	`CREATE TEMPORARY TABLE diffs
	(
		impression_id FixedString(16), minute DateTime('UTC'), advertiser_id Int64, ad_id Int64,
		missing UInt8,                       -- the lake has it; else the store has
		clicked_at DateTime64(3, 'UTC'), arrival_id UUID, partition Int32, offset Int64, version UInt64
	) ENGINE = MergeTree ORDER BY (impression_id, minute)`,
	// Missing impressions that are stored elsewhere by a click that is not judged.
	`CREATE TEMPORARY TABLE elsewhere (impression_id FixedString(16), hole UInt8) ENGINE = MergeTree ORDER BY impression_id`,
	// Clicks outside the span, or in holes, of impressions that were clicked in it.
	`CREATE TEMPORARY TABLE outside (impression_id FixedString(16), partition Int32, offset Int64, appended Int64) ENGINE = MergeTree ORDER BY impression_id`,
}

const (
	// sliceClicksUsual is how many impressions are grouped at a time: by their ids
	// alone with some 1 GB.
	sliceClicksUsual = 8_000_000

	inSpan = `minute >= {from:DateTime('UTC')} AND minute < {to:DateTime('UTC')}`
	place  = `(minute, advertiser_id, ad_id)`
	// impressionHash must be the same for both sides; sums of it are compared.
	impressionHash = `cityHash64(impression_id)`
	// impressionUUID is the stored form of an impression's bytes: both halves are
	// numbers in it, the lower one behind.
	impressionUUID = `reinterpretAsUUID(bitOr(bitShiftLeft(byteSwap(reinterpretAsUInt128(impression_id)), 64), bitShiftRight(byteSwap(reinterpretAsUInt128(impression_id)), 64)))`
)

// noteHoles notes what is stored of holes, with impressions that may have been
// clicked in the span. It is rare, and it may read two days. When such a click
// was appended is not known: against one of another partition it loses.
func (l *lakeSession) noteHoles(ctx context.Context) error {
	if len(l.plan.Holes) == 0 {
		return nil
	}
	l.progress("looks for what is stored of clicks that the lake has lost")
	from, to := l.reach()
	return l.exec(ctx, "look for what the lake has lost", `INSERT INTO outside
		SELECT UUIDToNum(impression_id), partition, offset, 9223372036854775807 FROM clicks FINAL
		WHERE minute >= {reach_from:DateTime('UTC')} AND minute < {reach_to:DateTime('UTC')} AND `+l.inHole(),
		ch.Parameters{"reach_from": minuteText(from), "reach_to": minuteText(to)})
}

// reach is the minutes in which an impression that was clicked in the span can
// have been clicked, too.
func (l *lakeSession) reach() (from, to click.Window) {
	return click.WindowOf(l.plan.From.Start().Add(-l.plan.Validity - issueSkew)),
		click.WindowOf(l.plan.To.Start().Add(l.plan.Validity + issueSkew)).Next()
}

// countLake adds the lake's counts to the places.
func (l *lakeSession) countLake(ctx context.Context, parts []slice) error {
	for _, w := range l.winners(parts, false) {
		l.progress("counts the lake's clicks, " + w.name)
		err := l.exec(ctx, "count the lake's clicks", `INSERT INTO places (minute, advertiser_id, ad_id, lake, lake_hash)
			SELECT w_minute, w_advertiser_id, w_ad_id, count(), sum(`+impressionHash+`) FROM (`+w.sql+`)
			GROUP BY w_minute, w_advertiser_id, w_ad_id`, w.parameters)
		if err != nil {
			return err
		}
	}
	return nil
}

// countStore adds what is stored to the places. Seals are those read before.
func (l *lakeSession) countStore(ctx context.Context, seals spanSeals) error {
	l.progress("counts the stored clicks")
	return l.exec(ctx, "count the stored clicks", `INSERT INTO places (minute, advertiser_id, ad_id, judged, judged_hash, stored, flushed)
		SELECT minute, advertiser_id, ad_id, countIf(is_judged), sumIf(hash, is_judged), count(), countIf(is_flushed)
		FROM
		(
			SELECT minute, advertiser_id, ad_id, `+l.judged()+` AS is_judged, cityHash64(UUIDToNum(impression_id)) AS hash, `+seals.flushed()+` AS is_flushed
			FROM clicks FINAL WHERE `+inSpan+`
		)
		GROUP BY minute, advertiser_id, ad_id`, seals.parameters())
}

// findPlaces notes the places whose clicks are not the same, and returns how
// many there are, how many clicks the lake has there, and what is stored in all.
func (l *lakeSession) findPlaces(ctx context.Context) (places, clicks, stored uint64, err error) {
	l.progress("compares")
	err = l.exec(ctx, "compare lake and store", `INSERT INTO differ SELECT minute, advertiser_id, ad_id FROM places
		GROUP BY minute, advertiser_id, ad_id
		HAVING sum(lake) != sum(judged) OR sum(lake_hash) != sum(judged_hash)`, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	err = l.scan(ctx, "compare lake and store", `SELECT (SELECT count() FROM differ), sumIf(lake, `+place+` IN (SELECT minute, advertiser_id, ad_id FROM differ)), sum(stored) FROM places`,
		&places, &clicks, &stored)
	return places, clicks, stored, err
}

// findClicks notes which clicks differ at the places that were found. Few are
// looked for by their impressions, in one go; many slice by slice, which must
// then make up all impressions there can be.
func (l *lakeSession) findClicks(ctx context.Context, parts []slice, places, clicks uint64) error {
	switch {
	case places == 0:
		return nil
	case clicks > uint64(l.sliceClicks):
		for _, s := range parts {
			l.progress("looks for the clicks that differ, " + s.name)
			if err := l.findIn(ctx, s, ""); err != nil {
				return err
			}
		}
		return nil
	}
	l.progress("looks for the clicks that differ")
	all := l.all()
	if len(l.plan.Candidates) > 0 {
		parameters := all.parameters()
		parameters["lake"] = l.access.list(l.plan.Candidates)
		err := l.exec(ctx, "look for impressions that differ", `INSERT INTO wanted SELECT DISTINCT impression_id FROM `+l.access.table("lake")+
			` WHERE (toStartOfMinute(clicked_at), advertiser_id, ad_id) IN (SELECT minute, advertiser_id, ad_id FROM differ)`+l.beyondArchive(), parameters)
		if err != nil {
			return err
		}
	}
	return l.findIn(ctx, all, " AND impression_id IN (SELECT impression_id FROM wanted)")
}

// findIn notes the clicks of a slice that differ. The same key on both sides is
// no difference, judged or not.
func (l *lakeSession) findIn(ctx context.Context, s slice, only string) error {
	winners := l.singles(s, true, only).and(l.repeats(s, true, only))
	err := l.exec(ctx, "find clicks that differ", `INSERT INTO diffs
		SELECT impression_id, minute, advertiser_id, ad_id, max(lake) AS missing, any(clicked_at), any(arrival_id), any(partition), any(offset), any(version)
		FROM
		(
			SELECT impression_id, w_minute AS minute, w_advertiser_id AS advertiser_id, w_ad_id AS ad_id, toUInt8(1) AS lake, toUInt8(0) AS stored, toUInt8(0) AS is_judged,
				w_clicked_at AS clicked_at, w_arrival_id AS arrival_id, w_partition AS partition, w_offset AS offset, toUInt64(0) AS version
			FROM (`+winners.sql+`)
			WHERE (w_minute, w_advertiser_id, w_ad_id) IN (SELECT minute, advertiser_id, ad_id FROM differ)
			UNION ALL
			SELECT id AS impression_id, minute, advertiser_id, ad_id, toUInt8(0), toUInt8(1), toUInt8(`+l.judged()+`), clicked_at, arrival_id, partition, offset, version
			FROM (SELECT *, UUIDToNum(impression_id) AS id FROM clicks FINAL WHERE `+inSpan+` AND `+place+` GLOBAL IN (SELECT minute, advertiser_id, ad_id FROM differ))
			WHERE `+inSliceOf("id")+`
		)
		GROUP BY impression_id, minute, advertiser_id, ad_id
		HAVING max(lake) = 1 AND max(stored) = 0 OR max(lake) = 0 AND max(is_judged) = 1`, winners.parameters)
	if err != nil {
		return err
	}
	return l.findElsewhere(ctx, s)
}

// findElsewhere notes which missing impressions of a slice are counted already
// by a click that is not judged: it lies in a hole of the lake, or is newer
// than what is archived. They must not be inserted as well. The one in a hole
// will never be judged: that is how the impression counts, and no difference.
// The newer one will be judged when it is archived; until then this one waits.
//
// Which minutes can have such clicks is told by the highest offsets stored.
func (l *lakeSession) findElsewhere(ctx context.Context, s slice) error {
	parameters := s.parameters()
	from, to := l.reach()
	parameters["reach_from"], parameters["reach_to"] = minuteText(from), minuteText(to)
	parameters["lowest"] = offsetsText(l.lowestUnjudged())
	const missing = `SELECT impression_id FROM diffs WHERE missing = 1 AND ` + inSlice
	return l.exec(ctx, "look for clicks that are not judged", `INSERT INTO elsewhere
		SELECT id, max(in_hole)
		FROM
		(
			SELECT UUIDToNum(impression_id) AS id, toUInt8(`+l.inHole()+`) AS in_hole FROM clicks FINAL
			WHERE minute GLOBAL IN (`+unjudgedMinutes+`)
			AND (SELECT count() FROM diffs WHERE missing = 1 AND `+inSlice+`) > 0
			AND NOT `+l.judged()+` AND id GLOBAL IN (`+missing+`)
		)
		GROUP BY id`, parameters)
}

// unjudgedMinutes are those of the reach that can hold a click that is not
// judged.
const unjudgedMinutes = `SELECT DISTINCT minute FROM clicks_progress
	WHERE minute >= {reach_from:DateTime('UTC')} AND minute < {reach_to:DateTime('UTC')} AND highest >= {lowest:Array(Int64)}[partition + 1]`

// mayBeClicked tells of a stored impression whether it was issued so that it
// can have been clicked in the span.
const mayBeClicked = `UUIDToNum(impression_id) < toFixedString(unhex({issued_next:String}), 16)`

// lowestUnjudged is, by partition, the lowest offset that is not judged.
func (l *lakeSession) lowestUnjudged() click.Offsets {
	lowest := slices.Clone(l.snapshot.Archived)
	for _, hole := range l.plan.Holes {
		if p := int(hole.Partition); p < len(lowest) {
			lowest[p] = min(lowest[p], hole.First)
		}
	}
	return lowest
}

func inSliceOf(column string) string {
	return column + ` >= toFixedString(unhex({first:String}), 16) AND ` + column + ` <= toFixedString(unhex({last:String}), 16)`
}

// countDiffs are what a repair inserts, what waits for the archive, and what it
// deletes.
func (l *lakeSession) countDiffs(ctx context.Context) (insert, wait, remove uint64, err error) {
	err = l.scan(ctx, "count what differs", fmt.Sprintf(`SELECT countIf(%s), countIf(missing = 1 AND impression_id IN (SELECT impression_id FROM elsewhere WHERE hole = 0)
		AND impression_id NOT IN (SELECT impression_id FROM elsewhere WHERE hole = 1)), countIf(missing = 0) FROM diffs`, toInsert), &insert, &wait, &remove)
	return insert, wait, remove, err
}

const (
	// isMissing leaves out what counts by a click in a hole.
	isMissing = `(missing = 1 AND impression_id NOT IN (SELECT impression_id FROM elsewhere WHERE hole = 1))`
	// toInsert leaves out what waits, too.
	toInsert = `(missing = 1 AND impression_id NOT IN (SELECT impression_id FROM elsewhere))`
)
