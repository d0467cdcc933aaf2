INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, minute, toUInt64(count()), {version:UInt64}
FROM clicks FINAL WHERE minute IN {minutes:Array(DateTime('UTC'))} AND offset < {checked:Array(Int64)}[partition + 1]
GROUP BY GROUPING SETS ((minute, advertiser_id, ad_id), (minute, advertiser_id))
