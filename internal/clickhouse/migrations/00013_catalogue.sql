-- The catalogue at scale: what imports stage, and what gateways follow.
-- +goose Up

-- The rows of a file of ads while it is imported, on the home shard. Staged
-- again they replace themselves. By ad, as the catalogue: an import goes
-- through both side by side, slice by slice. A partition is an import, and is
-- dropped at its end; what a terminated one leaves goes after three days.
CREATE TABLE ad_imports_local
(
    import        String,
    ad_id         Int64,
    row           Int64,
    advertiser_id Int64,
    name          String,
    landing_url   String,
    status        LowCardinality(String),
    staged_at     DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
PARTITION BY import
ORDER BY (ad_id, row)
TTL staged_at + INTERVAL 3 DAY
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE ad_imports AS ad_imports_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'ad_imports_local');

-- Which ads were changed, and when: gateways follow it, so a change reaches
-- them whether the shared cache is there or not. ad_id 0: any may have been.
CREATE TABLE ad_changes_local
(
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6),
    ad_id      Int64,
    version    UInt64
)
ENGINE = MergeTree
ORDER BY changed_at
TTL toDateTime(changed_at) + INTERVAL 2 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE ad_changes AS ad_changes_local
ENGINE = Distributed('clickledger_home', currentDatabase(), 'ad_changes_local');

-- +goose Down
DROP TABLE ad_changes;
DROP TABLE ad_changes_local;
DROP TABLE ad_imports;
DROP TABLE ad_imports_local;
