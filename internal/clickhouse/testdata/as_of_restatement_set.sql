SELECT toInt64(0) AS series, toInt64(count()) AS start, sum(cityHash64(ad_id, minute, replaced_version, at, before, after)) AS figure
FROM restatements FINAL
WHERE advertiser_id = 7 AND ad_id IN (1,2) AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC')
