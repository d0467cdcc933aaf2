SELECT minute, toUInt64(max(toUnixTimestamp64Micro(at))) AS newest
FROM restatements FINAL
PREWHERE (advertiser_id = ? AND ad_id = 0 OR advertiser_id = 0) AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793832600, 'UTC')
GROUP BY minute
