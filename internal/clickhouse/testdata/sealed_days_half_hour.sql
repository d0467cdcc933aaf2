SELECT series, start, sum(part) AS figure
FROM
(
SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793557800,1793644200,1793730600,1793817000])) AS start, sum(clicks) AS part
FROM clicks_per_minute FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793487000, 'UTC') AND minute < toDateTime(1793746200, 'UTC')) AND roundDown(toUnixTimestamp(minute), [1793487000,1793487600,1793556000,1793559600,1793642400,1793646000,1793728800,1793732400,1793743200,1793746200]) IN (1793487000,1793556000,1793642400,1793728800,1793743200)
GROUP BY series, start
UNION ALL
SELECT ad_id AS series, toInt64(roundDown(toUnixTimestamp(minute), [1793487000,1793557800,1793644200,1793730600,1793817000])) AS start, sum(clicks) AS part
FROM clicks_per_hour FINAL
PREWHERE advertiser_id = ? AND ad_id != 0 AND (minute >= toDateTime(1793487600, 'UTC') AND minute < toDateTime(1793743200, 'UTC')) AND roundDown(toUnixTimestamp(minute), [1793487600,1793556000,1793559600,1793642400,1793646000,1793728800,1793732400,1793743200]) IN (1793487600,1793559600,1793646000,1793732400)
GROUP BY series, start
)
GROUP BY series, start
HAVING figure > 0
ORDER BY series, start
LIMIT 50001
