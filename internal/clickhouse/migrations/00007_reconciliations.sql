-- What reconciliations found and did, on the home shard.
-- +goose Up

-- Replacing, where an audit would only be added to: an activity whose answer was
-- lost writes its row again, and it must not count as a second one. One run has
-- a row for each state it told: DIFFERS while it waits for an approval, then
-- what came of it. No TTL: it is some rows an hour, and how far everything is
-- reconciled is told from the first hour on.
CREATE TABLE reconciliations_local
(
    from_minute   DateTime('UTC'),
    to_minute     DateTime('UTC'),        -- [from, to): at most an hour, never across an hour's border
    run           String,                 -- the workflow run's id
    state         LowCardinality(String), -- CLEAN, REPAIRED, DIFFERS, REFUSED
    at            DateTime64(6, 'UTC'),   -- when it was told, by Temporal's clock: the same for every attempt to write it
    reason        String,                 -- in words, why it is not clean or repaired; else empty
    dry_run       UInt8,
    lake          UInt64,                 -- clicks: before a repair, as are the next six
    store         UInt64,
    figures       UInt64,
    missing       UInt64,
    surplus       UInt64,
    places        UInt64,                 -- (advertiser, ad, minute) that differ in any way
    wrong_figures UInt64,                 -- those of them that differ in their figure alone
    places_left   UInt64,                 -- that differ now: after the repair, if there was one
    inserted      UInt64,
    deleted       UInt64,
    restated      UInt64,                 -- figures that had been final and changed
    lost          UInt64,                 -- offsets that the stream dropped before they were archived
    through       DateTime('UTC'),        -- the last archive window whose manifest was read; the epoch: none
    report        String CODEC(ZSTD(3))   -- all of it, as JSON: what the bucket has under reports/
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(from_minute)
ORDER BY (from_minute, to_minute, run, state)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE reconciliations AS reconciliations_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'reconciliations_local');

-- Every (advertiser, ad, minute) at which lake and store differed. Kept as long
-- as the figures. Replacing, for the same reason: the same run and pass finds
-- the same again.
CREATE TABLE discrepancies_local
(
    minute          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    advertiser_id   Int64 CODEC(Delta, ZSTD(1)),
    ad_id           Int64 CODEC(Delta, ZSTD(1)), -- 0: the advertiser's total, which is a figure only
    run             String CODEC(ZSTD(1)),       -- the workflow run's id
    pass            UInt8,                       -- 1: before the repair, 2: after it
    lake            UInt64 CODEC(T64, ZSTD(1)),  -- clicks
    store           UInt64 CODEC(T64, ZSTD(1)),
    figure          UInt64 CODEC(T64, ZSTD(1)),
    missing         UInt64 CODEC(T64, ZSTD(1)),
    surplus         UInt64 CODEC(T64, ZSTD(1)),
    missing_samples Array(UUID) CODEC(ZSTD(1)),  -- impressions, some
    surplus_samples Array(UUID) CODEC(ZSTD(1)),
    found_at        DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, advertiser_id, ad_id, run, pass)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE discrepancies AS discrepancies_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'discrepancies_local');

-- +goose Down
DROP TABLE discrepancies;
DROP TABLE discrepancies_local;
DROP TABLE reconciliations;
DROP TABLE reconciliations_local;
