-- The fan-outs of hot ads, on the home shard. Apart from ads: what an owner
-- changes and what is measured have a version each, so neither undoes the
-- other, and the few that are spread are found without reading all ads. The
-- column fan_out of ads is no longer read; it was 1 in every row.
-- +goose Up

CREATE TABLE fan_outs_local
(
    ad_id         Int64,
    advertiser_id Int64,
    fan_out       UInt8,  -- 1 again once the ad is no longer hot
    version       UInt64  -- the home server's microseconds when it was last found hot, or lowered
)
ENGINE = ReplacingMergeTree(version)
ORDER BY ad_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE fan_outs AS fan_outs_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'fan_outs_local');

-- +goose Down
DROP TABLE fan_outs;
DROP TABLE fan_outs_local;
