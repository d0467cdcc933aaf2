package clickhouse

import "context"

// NextVersion is the home server's time in microseconds: the version of rows
// about to be written, so that no other machine's clock orders anything. Read
// after the offsets of a snapshot and before it is aggregated, it makes the
// flush with the older data lose. While the home shard is away there is none:
// another clock may be ahead, and what was written by it would win for too long.
func (s *Store) NextVersion(ctx context.Context) (uint64, error) {
	var micros int64
	if err := s.home.QueryRow(ctx, "SELECT toUnixTimestamp64Micro(now64(6))").Scan(&micros); err != nil {
		return 0, readError("read the server's time", err)
	}
	return uint64(micros), nil
}
