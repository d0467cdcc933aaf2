SELECT countIf(minute = {from:DateTime('UTC')} + INTERVAL (n - 1) MINUTE)
FROM
(
    SELECT minute, row_number() OVER (ORDER BY minute) AS n
    FROM
    (
        SELECT minute FROM seals
        WHERE minute >= {from:DateTime('UTC')} AND state = 'SEALED' AND sealed_at <= fromUnixTimestamp64Micro({as_of:Int64}, 'UTC')
        GROUP BY minute
    )
)
