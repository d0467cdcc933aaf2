INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, minute, toUInt64(0), {version:UInt64}
FROM clicks_per_minute FINAL
PREWHERE minute IN {minutes:Array(DateTime('UTC'))}
WHERE version < {version:UInt64} AND clicks > 0
