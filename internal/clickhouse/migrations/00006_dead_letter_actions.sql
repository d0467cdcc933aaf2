-- What operators did with dead letters, on the home shard: an audit, to which
-- rows are only ever added. The letters themselves stay in Kafka, unchanged.
-- +goose Up

CREATE TABLE dead_letter_actions_local
(
    topic       String,
    partition   Int32,
    offset      Int64,                  -- of the original record
    appended_at DateTime64(3, 'UTC'),   -- of the original record: offsets alone mean nothing once a topic was made anew
    at          DateTime64(6, 'UTC') DEFAULT now64(6), -- by the home server's clock
    action_id   Int64,                  -- random; the rows of one action share it
    action      LowCardinality(String), -- REPLAYED, DISCARDED
    stage       LowCardinality(String), -- BEGUN, DONE, FAILED
    key_id      Int64,                  -- the API key that called; 0: the admin key of the configuration
    note        String,
    result      String                  -- DONE: where the record stands now; FAILED: why
)
ENGINE = MergeTree
ORDER BY (topic, partition, offset, appended_at, at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE dead_letter_actions AS dead_letter_actions_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'dead_letter_actions_local');

-- +goose Down
DROP TABLE dead_letter_actions;
DROP TABLE dead_letter_actions_local;
