-- The figures, the ledger of windows, and what was corrected.
-- +goose Up

-- One row per (advertiser, ad, minute), and one with ad_id 0 for the
-- advertiser's total. A re-flush writes a newer version, zeros for what vanished.
CREATE TABLE clicks_per_minute_local
(
    advertiser_id Int64 CODEC(Delta, ZSTD(1)),
    ad_id         Int64 CODEC(Delta, ZSTD(1)),
    minute        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    clicks        UInt64 CODEC(T64, ZSTD(1)),
    version       UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (advertiser_id, ad_id, minute)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE clicks_per_minute AS clicks_per_minute_local
ENGINE = Distributed('clickledger', currentDatabase(), 'clicks_per_minute_local', cityHash64(advertiser_id));

-- Every change of a figure that had been final. The key holds the version that
-- was replaced, so a retry after a crash repeats a row instead of adding one.
CREATE TABLE restatements_local
(
    advertiser_id    Int64,
    ad_id            Int64,
    minute           DateTime('UTC'),
    replaced_version UInt64,
    at               DateTime64(6, 'UTC'),
    before           UInt64,
    after            UInt64,
    reason           LowCardinality(String)
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(minute)
ORDER BY (advertiser_id, ad_id, minute, replaced_version)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE restatements AS restatements_local
ENGINE = Distributed('clickledger', currentDatabase(), 'restatements_local', cityHash64(advertiser_id));

-- The ledger of minutes, on the home shard. The earliest row is the ledger's
-- start, written by setup with state START; sealing replaces it.
CREATE TABLE windows_local
(
    minute    DateTime('UTC'),
    version   UInt64,
    state     LowCardinality(String), -- START, SEALED, EARLIER: sealed, but from before the start
    clicks    UInt64,
    rows      UInt64,
    reason    String,
    topic_id  String,                 -- offsets mean nothing without their topic
    checked   Array(Int64),           -- by partition: committed offset read before aggregating
    sealed_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY minute
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE windows AS windows_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'windows_local');

-- +goose Down
DROP TABLE windows;
DROP TABLE windows_local;
DROP TABLE restatements;
DROP TABLE restatements_local;
DROP TABLE clicks_per_minute;
DROP TABLE clicks_per_minute_local;
