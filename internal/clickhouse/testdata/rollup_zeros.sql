INSERT INTO clicks_per_hour (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, minute, toUInt64(0), {version:UInt64}
FROM clicks_per_hour FINAL
PREWHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}
WHERE version < {version:UInt64} AND clicks > 0
