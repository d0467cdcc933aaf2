SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000])) AS start, toUInt64(0) AS figure
FROM
(
    SELECT ad_id, minute, toUInt64(toUnixTimestamp64Micro(at)) AS version, before
    FROM restatements FINAL
    WHERE advertiser_id = 7 AND ad_id IN (1,2) AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND before != after
) AS changed
LEFT JOIN
(
    SELECT minute, max(version) AS known
    FROM seals
    WHERE minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND sealed_at <= fromUnixTimestamp64Micro(1793880000123456, 'UTC')
    GROUP BY minute
) AS sealed USING (minute)
WHERE version <= known
GROUP BY series, start
ORDER BY series, start
LIMIT 50001
