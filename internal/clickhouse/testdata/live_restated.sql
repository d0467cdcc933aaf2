SELECT advertiser_id, ad_id AS series, toInt64(toUnixTimestamp(minute)) AS start, toUInt64(0) AS number
FROM restatements FINAL
WHERE minute >= toDateTime(1795428000, 'UTC') AND minute < toDateTime(1795428180, 'UTC') AND toUnixTimestamp(minute) IN (1795428000,1795428120) AND ad_id = 0 AND advertiser_id IN (7,8) AND before != after
GROUP BY advertiser_id, ad_id, minute
UNION ALL
SELECT advertiser_id, ad_id AS series, toInt64(toUnixTimestamp(minute)) AS start, toUInt64(0) AS number
FROM restatements FINAL
WHERE minute >= toDateTime(1795428000, 'UTC') AND minute < toDateTime(1795428180, 'UTC') AND toUnixTimestamp(minute) IN (1795428000,1795428120) AND advertiser_id IN (7,9) AND ad_id != 0 AND (advertiser_id IN (7) OR (advertiser_id, ad_id) IN ((9,1),(9,2))) AND before != after
GROUP BY advertiser_id, ad_id, minute
LIMIT 50001 BY advertiser_id
