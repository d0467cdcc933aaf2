SELECT toInt64(0) AS series, toInt64(toUnixTimestamp(minute)) AS start, sum(clicks) AS figure
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id = 0 AND (minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793490600, 'UTC'))
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT 50001
