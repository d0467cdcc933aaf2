SELECT toInt64(0) AS series, toInt64(toUnixTimestamp(minute)) AS start, toUInt64(0) AS figure
FROM restatements FINAL
PREWHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND ad_id = 0
WHERE before != after
GROUP BY series, start
ORDER BY series, start
LIMIT 50001
