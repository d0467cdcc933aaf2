SELECT ad_id AS series, toInt64(1793487000) AS start, sum(part) AS figure
FROM
(
SELECT ad_id, clicks AS part
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND ((minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793487600, 'UTC')) OR (minute >= toDateTime(1797717600, 'UTC') AND minute < toDateTime(1797720600, 'UTC')))
UNION ALL
SELECT ad_id, clicks AS part
FROM clicks_per_hour FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND ((minute >= toDateTime(1793487600, 'UTC') AND minute < toDateTime(1793491200, 'UTC')) OR (minute >= toDateTime(1797638400, 'UTC') AND minute < toDateTime(1797717600, 'UTC')))
UNION ALL
SELECT ad_id, clicks AS part
FROM clicks_per_day FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1796083200, 'UTC') AND minute < toDateTime(1797638400, 'UTC')) AND roundDown(toUnixTimestamp(minute), [1796083200,1796601600,1797206400,1797638400]) IN (1796083200,1797206400)
UNION ALL
SELECT ad_id, clicks AS part
FROM clicks_per_week FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1796601600, 'UTC') AND minute < toDateTime(1797206400, 'UTC'))
UNION ALL
SELECT ad_id, clicks AS part
FROM clicks_per_month FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793491200, 'UTC') AND minute < toDateTime(1796083200, 'UTC'))
UNION ALL
SELECT ad_id, toUInt64(1) AS part
FROM clicks FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND minute >= toDateTime(1797720600, 'UTC') AND minute < toDateTime(1797807000, 'UTC')
)
GROUP BY series
HAVING figure > 0
ORDER BY figure DESC, series
LIMIT 10
