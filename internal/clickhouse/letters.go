package clickhouse

import (
	"context"
	"fmt"

	"clickledger/internal/click"
)

// AddLetterActions adds rows to the audit of dead letters, all or none, and
// returns when they are durable. Their time is the home server's.
func (s *Store) AddLetterActions(ctx context.Context, actions []click.LetterAction) error {
	batch, err := s.conn.PrepareBatch(ctx, `INSERT INTO dead_letter_actions
		(topic, partition, offset, appended_at, action_id, action, stage, key_id, note, result)`)
	if err != nil {
		return readError("add dead letter actions", err)
	}
	defer func() { _ = batch.Close() }()
	for _, a := range actions {
		err := batch.Append(a.Topic, a.Partition, a.Offset, a.AppendedAt, a.ActionID,
			string(a.Action), string(a.Stage), a.KeyID, a.Note, a.Result)
		if err != nil {
			return fmt.Errorf("add dead letter actions: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("add dead letter actions", err)
	}
	return nil
}

// LetterActions is the audit of each of some letters, oldest first.
func (s *Store) LetterActions(ctx context.Context, origins []click.Origin) (map[click.Origin][]click.LetterAction, error) {
	found := make(map[click.Origin][]click.LetterAction, len(origins))
	if len(origins) == 0 {
		return found, nil
	}
	wanted := make(map[click.Origin]bool, len(origins))
	partitions, offsets := make([]int32, len(origins)), make([]int64, len(origins))
	for i, o := range origins {
		wanted[o], partitions[i], offsets[i] = true, o.Partition, o.Offset
	}
	rows, err := s.conn.Query(ctx, `SELECT topic, partition, offset, appended_at, at, action_id, action, stage, key_id, note, result
		FROM dead_letter_actions WHERE (partition, offset) IN (SELECT arrayJoin(arrayZip(?, ?)))
		ORDER BY at, stage = 'BEGUN' DESC`, partitions, offsets)
	if err != nil {
		return nil, readError("read dead letter actions", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a click.LetterAction
		var action, stage string
		err := rows.Scan(&a.Topic, &a.Partition, &a.Offset, &a.AppendedAt, &a.At, &a.ActionID, &action, &stage, &a.KeyID, &a.Note, &a.Result)
		if err != nil {
			return nil, fmt.Errorf("read dead letter actions: %w", err)
		}
		a.AppendedAt, a.At = a.AppendedAt.UTC(), a.At.UTC()
		a.Action, a.Stage = click.LetterState(action), click.LetterStage(stage)
		if wanted[a.Origin] {
			found[a.Origin] = append(found[a.Origin], a)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read dead letter actions", err)
	}
	return found, nil
}
