-- The catalogue, on the home shard. Valkey and the gateways only cache it.
-- +goose Up

CREATE TABLE advertisers_local
(
    advertiser_id Int64,
    name          String,
    version       UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY advertiser_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE advertisers AS advertisers_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'advertisers_local');

-- By ad id alone: a click knows nothing else. Small granules: most reads are of one ad.
CREATE TABLE ads_local
(
    ad_id         Int64,
    advertiser_id Int64,
    name          String,
    landing_url   String,
    status        LowCardinality(String), -- ACTIVE, PAUSED
    fan_out       UInt8 DEFAULT 1,
    version       UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY ad_id
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE ads AS ads_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'ads_local');

CREATE TABLE api_keys_local
(
    key_id        Int64,
    hash          FixedString(32),        -- SHA-256 of the key; the key itself is never stored
    role          LowCardinality(String), -- ADMIN, PUBLISHER, ADVERTISER
    advertiser_id Int64,
    name          String,
    created_at    DateTime64(3, 'UTC'),
    expires_at    DateTime64(3, 'UTC'),   -- the epoch: never
    revoked_at    DateTime64(3, 'UTC'),   -- the epoch: not revoked
    version       UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY key_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE api_keys AS api_keys_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'api_keys_local');

-- +goose Down
DROP TABLE api_keys;
DROP TABLE api_keys_local;
DROP TABLE ads;
DROP TABLE ads_local;
DROP TABLE advertisers;
DROP TABLE advertisers_local;
