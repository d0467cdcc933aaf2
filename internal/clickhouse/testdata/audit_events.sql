SELECT at, event_id, stage, ended_at, method, key_id, role, advertiser_id, subject, detail, code, message
FROM audit_events WHERE true AND {limit:UInt32} > 0 AND at >= {from:DateTime64(6, 'UTC')} AND at < {to:DateTime64(6, 'UTC')} AND key_id = {key:Int64} AND method = {method:String} AND subject = {subject:String} AND (at, event_id) < ({after_at:DateTime64(6, 'UTC')}, {after_id:Int64})
ORDER BY at DESC, event_id DESC, stage DESC
LIMIT 1 BY at, event_id
LIMIT {limit:UInt32}
