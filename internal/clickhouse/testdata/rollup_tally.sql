SELECT sumIf(clicks, ad_id != 0), sumIf(clicks, ad_id = 0), countIf(version = {version:UInt64})
FROM clicks_per_hour FINAL
PREWHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}
