SELECT series, toInt64(1793487000) AS start, sum(part) AS figure
FROM
(
SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000])) AS start, sum(clicks) AS part
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC')) AND roundDown(toUnixTimestamp(minute), [1793487000,1793487600,1793491200,1793577600,1793743200,1793746200]) IN (1793487000,1793491200,1793743200)
WHERE (ad_id, minute) GLOBAL NOT IN (SELECT ad_id, minute FROM (
SELECT ad_id, minute, argMin(before, version) AS clicks
FROM
(
    SELECT ad_id, minute, toUInt64(toUnixTimestamp64Micro(at)) AS version, before
    FROM restatements FINAL
    WHERE advertiser_id = 7 AND ad_id != 0 AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND before != after
) AS changed
LEFT JOIN
(
    SELECT minute, max(version) AS known
    FROM seals
    WHERE minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND sealed_at <= fromUnixTimestamp64Micro(1793880000123456, 'UTC')
    GROUP BY minute
) AS sealed USING (minute)
WHERE version > known
GROUP BY ad_id, minute
))
GROUP BY series, start
UNION ALL
SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000])) AS start, sum(clicks) AS part
FROM clicks_per_hour FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793487600, 'UTC') AND minute < toDateTime(1793743200, 'UTC')) AND roundDown(toUnixTimestamp(minute), [1793487600,1793491200,1793664000,1793743200]) IN (1793487600,1793664000)
GROUP BY series, start
UNION ALL
SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000])) AS start, sum(clicks) AS part
FROM clicks_per_day FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793577600, 'UTC') AND minute < toDateTime(1793664000, 'UTC'))
GROUP BY series, start
UNION ALL
SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000])) AS start, sum(clicks) AS part
FROM
(
SELECT ad_id, minute, argMin(before, version) AS clicks
FROM
(
    SELECT ad_id, minute, toUInt64(toUnixTimestamp64Micro(at)) AS version, before
    FROM restatements FINAL
    WHERE advertiser_id = 7 AND ad_id != 0 AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND before != after
) AS changed
LEFT JOIN
(
    SELECT minute, max(version) AS known
    FROM seals
    WHERE minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND sealed_at <= fromUnixTimestamp64Micro(1793880000123456, 'UTC')
    GROUP BY minute
) AS sealed USING (minute)
WHERE version > known
GROUP BY ad_id, minute
)
GROUP BY series, start
UNION ALL
SELECT ad_id AS series, toInt64(1793487000) AS start, toUInt64(1) AS part
FROM
(
    SELECT ad_id, minute, toUInt64(toUnixTimestamp64Micro(at)) AS version, before
    FROM restatements FINAL
    WHERE advertiser_id = 7 AND ad_id != 0 AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND before != after
) AS changed
LEFT JOIN
(
    SELECT minute, max(version) AS known
    FROM seals
    WHERE minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND sealed_at <= fromUnixTimestamp64Micro(1793880000123456, 'UTC')
    GROUP BY minute
) AS sealed USING (minute)
WHERE version <= known
GROUP BY series
)
WHERE series > 5
GROUP BY series
HAVING figure > 0
ORDER BY series
LIMIT 50001
