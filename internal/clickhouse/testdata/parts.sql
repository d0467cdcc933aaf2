SELECT 'restatements' AS of, shardNum() AS shard, _partition_id AS partition, _part AS part, count() AS rows
FROM restatements
GROUP BY shard, partition, part
UNION ALL
SELECT 'clicks_filtered' AS of, shardNum() AS shard, _partition_id AS partition, _part AS part, count() AS rows
FROM clicks_filtered
GROUP BY shard, partition, part
