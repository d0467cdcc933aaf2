SELECT DISTINCT ad_id
FROM
(
(
SELECT DISTINCT ad_id
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id > 5 AND (minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793487600, 'UTC'))
WHERE clicks > 0
ORDER BY ad_id
LIMIT 10
)
UNION ALL
(
SELECT DISTINCT ad_id
FROM clicks FINAL
PREWHERE advertiser_id = ? AND ad_id > 5 AND minute >= toDateTime(1797720600, 'UTC') AND minute < toDateTime(1797807000, 'UTC')
ORDER BY ad_id
LIMIT 10
)
UNION ALL
(
SELECT DISTINCT ad_id
FROM restatements FINAL
PREWHERE advertiser_id = ? AND ad_id > 5 AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1797807000, 'UTC')
WHERE before != after
ORDER BY ad_id
LIMIT 10
)
UNION ALL
(
SELECT DISTINCT ad_id
FROM clicks_filtered FINAL
PREWHERE advertiser_id = ? AND ad_id > 5 AND minute >= toDateTime(1797720600, 'UTC') AND minute < toDateTime(1797807000, 'UTC')
ORDER BY ad_id
LIMIT 10
)
)
ORDER BY ad_id
LIMIT 10
