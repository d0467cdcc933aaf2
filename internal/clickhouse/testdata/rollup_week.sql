INSERT INTO clicks_per_week (advertiser_id, ad_id, minute, clicks, version)
SELECT advertiser_id, ad_id, toDateTime(toMonday(minute), 'UTC') AS period, sum(clicks), {version:UInt64}
FROM clicks_per_day FINAL
PREWHERE minute >= {from:DateTime('UTC')} AND minute < {before:DateTime('UTC')}
GROUP BY advertiser_id, ad_id, period
