package clickhouse

import (
	"context"
	"fmt"
	"time"

	"clickledger/internal/click"
)

// CorrectionsQuery asks for the corrections of an advertiser's figures, ad by
// ad, that took effect in (Since, AsOf].
type CorrectionsQuery struct {
	AdvertiserID int64
	AdIDs        []int64   // only these; none: all
	From, To     time.Time // of the minutes, half-open
	Since, AsOf  time.Time
	// After is the correction behind which to go on, by ad, minute and replaced
	// version; zero: from the first on.
	After   click.Correction
	RowsMax int
}

// Corrections are the changes of final figures that were sealed, in the order of
// ad, minute and time. A change counts from the first seal of its minute that
// has it: FiguresAsOf counts it from then on too.
func (s *Store) Corrections(ctx context.Context, q CorrectionsQuery) ([]click.Correction, error) {
	rows, err := s.conn.Query(s.limited(ctx, reportQuerySeconds, nil), correctionsListSQL(q))
	if err != nil {
		return nil, readError("read corrections", err)
	}
	defer func() { _ = rows.Close() }()
	var found []click.Correction
	for rows.Next() {
		var c click.Correction
		if err := rows.Scan(&c.AdID, &c.Minute, &c.ReplacedVersion, &c.Before, &c.After, &c.Reason, &c.At); err != nil {
			return nil, fmt.Errorf("read corrections: %w", err)
		}
		c.Minute, c.At = c.Minute.UTC(), c.At.UTC()
		found = append(found, c)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read corrections", err)
	}
	return found, nil
}

func correctionsListSQL(q CorrectionsQuery) string {
	of := ReportQuery{AdvertiserID: q.AdvertiserID, AdIDs: q.AdIDs, From: q.From, To: q.To, ByAd: true}
	behind := ""
	if q.After.AdID > 0 {
		behind = fmt.Sprintf(" AND (ad_id, minute, replaced_version) > (%d, toDateTime(%d, 'UTC'), %d)",
			q.After.AdID, q.After.Minute.Unix(), q.After.ReplacedVersion)
	}
	return fmt.Sprintf(`SELECT ad_id, minute, replaced_version, before, after, toString(reason), min(first_at) AS took_effect
FROM
(
    SELECT ad_id, minute, replaced_version, toUInt64(toUnixTimestamp64Micro(at)) AS version, before, after, reason
    FROM restatements FINAL
    WHERE %s AND before != after%s
) AS changed
INNER JOIN
(
    SELECT minute, version AS seal, min(sealed_at) AS first_at
    FROM seals
    WHERE %s
    GROUP BY minute, seal
) AS sealed USING (minute)
WHERE seal >= version
GROUP BY ad_id, minute, replaced_version, before, after, reason
HAVING took_effect > fromUnixTimestamp64Micro(%d, 'UTC') AND took_effect <= fromUnixTimestamp64Micro(%d, 'UTC')
ORDER BY ad_id, minute, replaced_version
LIMIT %d`, of.ofRange(), behind, inRange(q.From, q.To), max(q.Since.UnixMicro(), 0), q.AsOf.UnixMicro(), q.RowsMax)
}
