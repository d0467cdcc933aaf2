-- How often a key may call, and who called what that changes something, on the
-- home shard.
-- +goose Up

ALTER TABLE api_keys_local ADD COLUMN calls_per_second UInt32 DEFAULT 0; -- at each gateway; 0: what its role has
ALTER TABLE api_keys ADD COLUMN calls_per_second UInt32 DEFAULT 0;

-- An audit, to which rows are only ever added: of each call one before anything
-- is done, and one when it has ended. Replacing, so that a restored row that is
-- there already is one. No TTL: it is some rows for each change.
CREATE TABLE audit_events_local
(
    at            DateTime64(6, 'UTC'),   -- when the call came, by the gateway's clock
    event_id      Int64,                  -- random
    stage         LowCardinality(String), -- BEGUN, ENDED
    ended_at      DateTime64(6, 'UTC'),   -- the epoch in BEGUN
    method        LowCardinality(String), -- SERVICE/METHOD
    key_id        Int64,                  -- the API key that called; 0: the admin key of the configuration
    role          LowCardinality(String), -- of that key
    advertiser_id Int64,                  -- of that key; 0 unless its role is ADVERTISER
    subject       String,                 -- on what; empty in BEGUN of what does not exist yet
    detail        String,                 -- what it was to become: never a secret
    code          LowCardinality(String), -- ok or the error's; empty in BEGUN
    message       String                  -- of the error, as it was told
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, event_id, stage)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE audit_events AS audit_events_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'audit_events_local');

-- +goose Down
DROP TABLE audit_events;
DROP TABLE audit_events_local;
ALTER TABLE api_keys DROP COLUMN calls_per_second;
ALTER TABLE api_keys_local DROP COLUMN calls_per_second;
