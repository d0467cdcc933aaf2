SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793487600])) AS start, count() AS figure
FROM clicks FINAL
PREWHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND ad_id IN (1,2)
GROUP BY series, start
ORDER BY series, start
LIMIT 50001
