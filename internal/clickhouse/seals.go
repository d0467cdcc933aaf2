package clickhouse

import (
	"context"
	"fmt"
)

// CompleteSeals enters into the history what the ledger has and it has not: all
// that was sealed before there was a history, and a seal that a server which
// died did not copy. It is safe to run again.
func (s *Store) CompleteSeals(ctx context.Context) error {
	err := s.conn.Exec(ctx, `INSERT INTO seals (minute, version, state, sealed_at)
		SELECT minute, version, state, sealed_at FROM windows FINAL
		WHERE state IN (?, ?) AND (minute, version) GLOBAL NOT IN (SELECT minute, version FROM seals)`, stateSealed, stateEarlier)
	if err != nil {
		return fmt.Errorf("complete the history of seals: %w", err)
	}
	return nil
}
