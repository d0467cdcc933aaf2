SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793487600])) AS start, max(is_arrival), sumIf(count, reason = 'duplicate'), sumIf(count, reason = 'expired'), sumIf(count, reason = 'paused'), sumIf(count, reason = 'prefetch')
FROM clicks_filtered FINAL
PREWHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND ad_id IN (1,2)
WHERE NOT (is_arrival = 1 AND (minute, ad_id, id) GLOBAL IN
(
    SELECT minute, ad_id, arrival_id FROM clicks FINAL
    WHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND ad_id IN (1,2) AND (minute, ad_id, arrival_id) GLOBAL IN
        (SELECT minute, ad_id, id FROM clicks_filtered WHERE advertiser_id = ? AND minute >= toDateTime(?, 'UTC') AND minute < toDateTime(?, 'UTC') AND ad_id IN (1,2) AND is_arrival = 1)
))
GROUP BY series, start
ORDER BY series, start
LIMIT 50001
