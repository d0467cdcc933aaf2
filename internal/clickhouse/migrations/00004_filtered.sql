-- What was redirected but not counted, and why.
-- +goose Up

-- Kept as long as the clicks themselves: without the counted click nobody could
-- tell its copy from a duplicate.
CREATE TABLE clicks_filtered_local
(
    minute        DateTime('UTC') CODEC(Delta, LZ4),
    advertiser_id Int64 CODEC(LZ4),
    ad_id         Int64 CODEC(LZ4),
    reason        LowCardinality(String) CODEC(LZ4), -- duplicate, expired, paused, prefetch
    id            UUID CODEC(LZ4),                   -- the same one twice counts once
    count         UInt64 CODEC(T64, LZ4),
    is_arrival    UInt8 CODEC(LZ4)                   -- 1: id is an arrival id; if it is the counted click's, this is a copy of it
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(minute)
ORDER BY (minute, advertiser_id, ad_id, reason, id)
TTL minute + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE clicks_filtered AS clicks_filtered_local
ENGINE = Distributed('clickledger', currentDatabase(), 'clicks_filtered_local', cityHash64(advertiser_id));

-- +goose Down
DROP TABLE clicks_filtered;
DROP TABLE clicks_filtered_local;
