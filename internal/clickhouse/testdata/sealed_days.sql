SELECT toInt64(0) AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793491200,1793577600,1793664000,1793750400])) AS start, sum(clicks) AS figure
FROM (
SELECT minute, clicks
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id IN (1,2) AND (minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793487600, 'UTC'))
UNION ALL
SELECT minute, clicks
FROM clicks_per_hour FINAL
PREWHERE advertiser_id = ? AND ad_id IN (1,2) AND (minute >= toDateTime(1793487600, 'UTC') AND minute < toDateTime(1793491200, 'UTC'))
UNION ALL
SELECT minute, clicks
FROM clicks_per_day FINAL
PREWHERE advertiser_id = ? AND ad_id IN (1,2) AND (minute >= toDateTime(1793491200, 'UTC') AND minute < toDateTime(1793664000, 'UTC'))
)
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT 50001
