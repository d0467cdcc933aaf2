SELECT ad_id AS series, toInt64(1793487000) AS start, sum(part) AS figure
FROM
(
SELECT ad_id, clicks AS part
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793487600, 'UTC'))
UNION ALL
SELECT ad_id, toUInt64(1) AS part
FROM clicks FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND minute >= toDateTime(1797720600, 'UTC') AND minute < toDateTime(1797807000, 'UTC')
)
GROUP BY series
HAVING figure > 0
ORDER BY series
LIMIT 10
