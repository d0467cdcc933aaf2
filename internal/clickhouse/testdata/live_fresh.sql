SELECT advertiser_id, toInt64(0) AS series, toInt64(toUnixTimestamp(minute)) AS start, count() AS number
FROM clicks FINAL
WHERE minute >= toDateTime(1795428000, 'UTC') AND minute < toDateTime(1795428180, 'UTC') AND advertiser_id IN (7,8)
GROUP BY advertiser_id, series, minute
UNION ALL
SELECT advertiser_id, ad_id AS series, toInt64(toUnixTimestamp(minute)) AS start, count() AS number
FROM clicks FINAL
WHERE minute >= toDateTime(1795428000, 'UTC') AND minute < toDateTime(1795428180, 'UTC') AND advertiser_id IN (7,9) AND ad_id != 0 AND (advertiser_id IN (7) OR (advertiser_id, ad_id) IN ((9,1),(9,2)))
GROUP BY advertiser_id, series, minute
LIMIT 50001 BY advertiser_id
