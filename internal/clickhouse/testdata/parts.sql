SELECT 'restatements' AS of, shardNum() AS shard, _part AS part, count() AS rows, min(minute) AS first, max(minute) AS last
FROM restatements
GROUP BY shard, part
UNION ALL
SELECT 'clicks_filtered' AS of, shardNum() AS shard, _part AS part, count() AS rows, min(minute) AS first, max(minute) AS last
FROM clicks_filtered
GROUP BY shard, part
