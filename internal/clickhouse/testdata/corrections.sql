SELECT toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793491200,1793577600,1793664000,1793750400])) AS start, max(corrected), groupArray(toUnixTimestamp(minute)), groupArray(newest)
FROM
(
SELECT minute, toUInt64(max(toUnixTimestamp64Micro(at))) AS newest, max(before != after) AS corrected
FROM restatements FINAL
PREWHERE (advertiser_id = ? AND ad_id = 0 OR advertiser_id = 0) AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793832600, 'UTC')
GROUP BY minute
)
GROUP BY start
ORDER BY start
