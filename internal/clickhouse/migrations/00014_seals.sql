-- When each seal of a minute was entered: what had been final at a time can be
-- told, although windows keeps a minute's newest seal only.
-- +goose Up

-- On the home shard. A seal that is entered again, because the answer was lost,
-- counts from when it came first. No TTL, as restatements have none: half a
-- million rows a year.
CREATE TABLE seals_local
(
    minute    DateTime('UTC') CODEC(Delta, ZSTD(1)),
    version   UInt64 CODEC(Delta, ZSTD(1)),
    state     LowCardinality(String), -- SEALED, EARLIER
    sealed_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, version, state)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE seals AS seals_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'seals_local');

-- What was sealed before, or is not copied because the server died just then,
-- is made up for by setup.
CREATE MATERIALIZED VIEW seals_view TO seals_local AS
SELECT minute, version, state, sealed_at
FROM windows_local
WHERE state IN ('SEALED', 'EARLIER');

-- +goose Down
DROP VIEW seals_view;
DROP TABLE seals;
DROP TABLE seals_local;
