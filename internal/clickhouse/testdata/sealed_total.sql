SELECT toInt64(0) AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000])) AS start, sum(clicks) AS figure
FROM (
SELECT minute, clicks
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id = 0 AND ((minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793487600, 'UTC')) OR (minute >= toDateTime(1797807600, 'UTC') AND minute < toDateTime(1797810660, 'UTC')))
UNION ALL
SELECT minute, clicks
FROM clicks_per_hour FINAL
PREWHERE advertiser_id = ? AND ad_id = 0 AND ((minute >= toDateTime(1793487600, 'UTC') AND minute < toDateTime(1793491200, 'UTC')) OR (minute >= toDateTime(1797724800, 'UTC') AND minute < toDateTime(1797807600, 'UTC')))
UNION ALL
SELECT minute, clicks
FROM clicks_per_day FINAL
PREWHERE advertiser_id = ? AND ad_id = 0 AND (minute >= toDateTime(1796083200, 'UTC') AND minute < toDateTime(1797724800, 'UTC')) AND roundDown(toUnixTimestamp(minute), [1796083200,1796601600,1797206400,1797724800]) IN (1796083200,1797206400)
UNION ALL
SELECT minute, clicks
FROM clicks_per_week FINAL
PREWHERE advertiser_id = ? AND ad_id = 0 AND (minute >= toDateTime(1796601600, 'UTC') AND minute < toDateTime(1797206400, 'UTC'))
UNION ALL
SELECT minute, clicks
FROM clicks_per_month FINAL
PREWHERE advertiser_id = ? AND ad_id = 0 AND (minute >= toDateTime(1793491200, 'UTC') AND minute < toDateTime(1796083200, 'UTC'))
)
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT 50001
