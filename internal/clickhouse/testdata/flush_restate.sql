INSERT INTO restatements (advertiser_id, ad_id, minute, replaced_version, at, before, after, reason)
SELECT advertiser_id, ad_id, minute, max(replaced) AS replaced_version,
       fromUnixTimestamp64Micro({version:Int64}, 'UTC'), sum(was) AS before, sum(becomes) AS after, {reason:String}
FROM
(
    SELECT advertiser_id, ad_id, minute, toUInt64(0) AS replaced, toUInt64(0) AS was, toUInt64(count()) AS becomes,
           CAST([], 'Array(UInt64)') AS announced
    FROM clicks FINAL WHERE minute IN {minutes:Array(DateTime('UTC'))} AND offset < {checked:Array(Int64)}[partition + 1]
GROUP BY GROUPING SETS ((minute, advertiser_id, ad_id), (minute, advertiser_id))
    UNION ALL
    SELECT advertiser_id, ad_id, minute, version AS replaced, clicks AS was, toUInt64(0) AS becomes,
           CAST([], 'Array(UInt64)') AS announced
    FROM clicks_per_minute FINAL
    PREWHERE minute IN {minutes:Array(DateTime('UTC'))}
    UNION ALL
    SELECT advertiser_id, ad_id, minute, toUInt64(0) AS replaced, toUInt64(0) AS was, toUInt64(0) AS becomes,
           [replaced_version] AS announced
    FROM restatements FINAL
    PREWHERE minute IN {minutes:Array(DateTime('UTC'))}
    WHERE before != after
)
GROUP BY advertiser_id, ad_id, minute
HAVING (before != after OR has(groupArrayArray(announced), replaced_version)) AND replaced_version < {version:UInt64}
