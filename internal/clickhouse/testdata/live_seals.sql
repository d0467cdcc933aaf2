SELECT toInt64(0), toInt64(0), toInt64(toUnixTimestamp(minute)), version
FROM windows FINAL
WHERE minute >= toDateTime(1795428000, 'UTC') AND minute < toDateTime(1795428180, 'UTC') AND state IN ('SEALED', 'EARLIER')
