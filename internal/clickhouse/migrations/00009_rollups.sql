-- Sums of the figures of minutes, and the ledger of what was summed up.
-- +goose Up

-- The same columns in the same order as clicks_per_minute; minute is the first
-- of the period. Periods are those of UTC, weeks begin on Monday. A partition
-- is what a rollup of the next level reads, or not much more.
CREATE TABLE clicks_per_hour_local
(
    advertiser_id Int64 CODEC(Delta, ZSTD(1)),
    ad_id         Int64 CODEC(Delta, ZSTD(1)),
    minute        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    clicks        UInt64 CODEC(T64, ZSTD(1)),
    version       UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(minute)
ORDER BY (advertiser_id, ad_id, minute)
TTL minute + INTERVAL 1095 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE clicks_per_hour AS clicks_per_hour_local
ENGINE = Distributed('clickledger', currentDatabase(), 'clicks_per_hour_local', cityHash64(advertiser_id));

CREATE TABLE clicks_per_day_local
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
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE clicks_per_day AS clicks_per_day_local
ENGINE = Distributed('clickledger', currentDatabase(), 'clicks_per_day_local', cityHash64(advertiser_id));

CREATE TABLE clicks_per_week_local
(
    advertiser_id Int64 CODEC(Delta, ZSTD(1)),
    ad_id         Int64 CODEC(Delta, ZSTD(1)),
    minute        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    clicks        UInt64 CODEC(T64, ZSTD(1)),
    version       UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(minute)
ORDER BY (advertiser_id, ad_id, minute)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE clicks_per_week AS clicks_per_week_local
ENGINE = Distributed('clickledger', currentDatabase(), 'clicks_per_week_local', cityHash64(advertiser_id));

CREATE TABLE clicks_per_month_local
(
    advertiser_id Int64 CODEC(Delta, ZSTD(1)),
    ad_id         Int64 CODEC(Delta, ZSTD(1)),
    minute        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    clicks        UInt64 CODEC(T64, ZSTD(1)),
    version       UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(minute)
ORDER BY (advertiser_id, ad_id, minute)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE clicks_per_month AS clicks_per_month_local
ENGINE = Distributed('clickledger', currentDatabase(), 'clicks_per_month_local', cityHash64(advertiser_id));

-- The ledger, on the home shard, written after the figures it speaks of. It
-- tells whether a figure that was rolled up is still what the minutes say.
CREATE TABLE rollups_local
(
    level     LowCardinality(String), -- hour, day, week, month
    first     Date,                   -- the first day of the span: a day (of hours too), a Monday, the first of a month
    version   UInt64,                 -- the home server's microseconds, read before anything was summed up
    parts     UInt64,                 -- sum of the versions of what it is made of, read before that
    newest    UInt64,                 -- the newest version of a minute in it
    clicks    UInt64,
    rows      UInt64,
    seen      Array(UInt64) CODEC(Delta, ZSTD(1)), -- of hours: the version of each minute's seal, 0 without one
    rolled_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (level, first)
SETTINGS index_granularity = 64, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE rollups AS rollups_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'rollups_local');

-- +goose Down
DROP TABLE rollups;
DROP TABLE rollups_local;
DROP TABLE clicks_per_month;
DROP TABLE clicks_per_month_local;
DROP TABLE clicks_per_week;
DROP TABLE clicks_per_week_local;
DROP TABLE clicks_per_day;
DROP TABLE clicks_per_day_local;
DROP TABLE clicks_per_hour;
DROP TABLE clicks_per_hour_local;
