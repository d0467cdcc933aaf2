-- A repair names the minutes it changed, and they are flushed by it. Its clicks
-- make no minute dirty: else the tick would flush, as late, what is being
-- brought back, minute by minute and half done.
-- +goose Up

-- In place: not a moment without a view, in which an ingester's clicks would
-- go unnoticed.
ALTER TABLE clicks_progress_view MODIFY QUERY
SELECT minute, partition, max(offset) AS highest
FROM clicks_local
WHERE version = 0
GROUP BY minute, partition;

-- +goose Down
ALTER TABLE clicks_progress_view MODIFY QUERY
SELECT minute, partition, max(offset) AS highest
FROM clicks_local
GROUP BY minute, partition;
