SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793487600])) AS start, max(is_arrival), sumIf(count, reason = 'duplicate'), sumIf(count, reason = 'expired'), sumIf(count, reason = 'paused'), sumIf(count, reason = 'prefetch')
FROM clicks_filtered FINAL
PREWHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND ad_id IN (1,2)
GROUP BY series, start
ORDER BY series, start
LIMIT 50001
