SELECT toInt64(0) AS series, toInt64(toUnixTimestamp(minute)) AS start, count() AS figure
FROM clicks FINAL
PREWHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC')
GROUP BY series, start
ORDER BY series, start
LIMIT 50001
