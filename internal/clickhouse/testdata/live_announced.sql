SELECT advertiser_id, toInt64(0), toInt64(toUnixTimestamp(minute)), toUInt64(max(toUnixTimestamp64Micro(at)))
FROM restatements
WHERE advertiser_id IN (0, 7,8,9) AND minute >= toDateTime(1795428000, 'UTC') AND minute < toDateTime(1795428180, 'UTC')
GROUP BY advertiser_id, minute
