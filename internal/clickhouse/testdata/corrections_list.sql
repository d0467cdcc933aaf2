SELECT ad_id, minute, replaced_version, before, after, toString(reason), min(first_at) AS took_effect
FROM
(
    SELECT ad_id, minute, replaced_version, toUInt64(toUnixTimestamp64Micro(at)) AS version, before, after, reason
    FROM restatements FINAL
    WHERE advertiser_id = 7 AND ad_id IN (1,2) AND minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC') AND before != after AND (ad_id, minute, replaced_version) > (1, toDateTime(1793487000, 'UTC'), 9)
) AS changed
INNER JOIN
(
    SELECT minute, version AS seal, min(sealed_at) AS first_at
    FROM seals
    WHERE minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC')
    GROUP BY minute, seal
) AS sealed USING (minute)
WHERE seal >= version
GROUP BY ad_id, minute, replaced_version, before, after, reason
HAVING took_effect > fromUnixTimestamp64Micro(1793876400123456, 'UTC') AND took_effect <= fromUnixTimestamp64Micro(1793880000123456, 'UTC')
ORDER BY ad_id, minute, replaced_version
LIMIT 101
