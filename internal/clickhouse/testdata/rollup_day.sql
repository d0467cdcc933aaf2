INSERT INTO clicks_per_day (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, toStartOfDay(minute) AS period, sum(clicks), {version:UInt64}
FROM clicks_per_hour FINAL
PREWHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}
GROUP BY advertiser_id, ad_id, period
