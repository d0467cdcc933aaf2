package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"clickledger/internal/click"
)

// RecordReconciliation writes the account of a run, told at a time that is the
// same for every attempt, and returns when it is durable. The same run in the
// same state is one row, however often it is written.
func (s *Store) RecordReconciliation(ctx context.Context, told click.ToldReconciliation) error {
	r := &told.Reconciliation
	report, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode reconciliation: %w", err)
	}
	through := time.Unix(0, 0).UTC()
	if r.Snapshot.Through != nil {
		through = r.Snapshot.Through.Start()
	}
	batch, err := s.conn.PrepareBatch(ctx, `INSERT INTO reconciliations (from_minute, to_minute, run, state, at, reason, dry_run,
		lake, store, figures, missing, surplus, places, wrong_figures, places_left, inserted, deleted, restated, lost, through, report)`)
	if err != nil {
		return readError("record reconciliation", err)
	}
	defer func() { _ = batch.Close() }()
	b := &r.Before
	err = batch.Append(r.From.Start(), r.To.Start(), r.Run, string(r.State), told.At, r.Reason, r.DryRun,
		b.Lake, b.Store, b.Figures, b.Missing, b.Surplus, b.Places, b.WrongFigures, r.Left(), r.Inserted, r.Deleted, r.Restated,
		r.Snapshot.Lost, through, string(report))
	if err != nil {
		return fmt.Errorf("record reconciliation: %w", err)
	}
	if err := batch.Send(); err != nil {
		return readError("record reconciliation", err)
	}
	return nil
}

// RecordDiscrepancies writes what one pass of a run found, all or none, and
// returns when it is durable. The same again changes nothing. It is for lists
// that fit into memory: some 100,000.
func (s *Store) RecordDiscrepancies(ctx context.Context, run string, pass int, list []click.Discrepancy) error {
	if len(list) == 0 {
		return nil
	}
	batch, err := s.conn.PrepareBatch(ctx, `INSERT INTO discrepancies
		(minute, advertiser_id, ad_id, run, pass, lake, store, figure, missing, surplus, missing_samples, surplus_samples)`)
	if err != nil {
		return readError("record discrepancies", err)
	}
	defer func() { _ = batch.Close() }()
	for i := range list {
		d := &list[i]
		err := batch.Append(d.Minute.Start(), d.AdvertiserID, d.AdID, run, uint8(pass), d.Lake, d.Store, d.Figure, d.Missing, d.Surplus,
			d.MissingSamples, d.SurplusSamples)
		if err != nil {
			return fmt.Errorf("record discrepancies: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return readError("record discrepancies", err)
	}
	return nil
}

// Reconciled is what was told last of every span, over the ledger as it is now.
// Its start is the zero Window when setup has not started the ledger.
func (s *Store) Reconciled(ctx context.Context) (click.Reconciled, error) {
	start, err := s.LedgerStart(ctx)
	if err != nil || start.IsZero() {
		return click.Reconciled{}, err
	}
	rows, err := s.conn.Query(ctx, `SELECT from_minute, to_minute, state, reason, places_left, at, through
		FROM reconciliations ORDER BY from_minute, to_minute, at DESC LIMIT 1 BY from_minute, to_minute`)
	if err != nil {
		return click.Reconciled{}, readError("read reconciliations", err)
	}
	defer func() { _ = rows.Close() }()
	var spans []click.ReconciledSpan
	for rows.Next() {
		var from, to, through time.Time
		var state string
		var span click.ReconciledSpan
		if err := rows.Scan(&from, &to, &state, &span.Reason, &span.Left, &span.At, &through); err != nil {
			return click.Reconciled{}, fmt.Errorf("read reconciliations: %w", err)
		}
		span.From, span.To, span.Through = click.WindowOf(from), click.WindowOf(to), click.WindowOf(through)
		span.State, span.At = click.ReconciliationState(state), span.At.UTC()
		spans = append(spans, span)
	}
	if err := rows.Err(); err != nil {
		return click.Reconciled{}, readError("read reconciliations", err)
	}
	return click.NewReconciled(click.WindowOf(start), spans), nil
}

// ReconciledThrough is the end of the contiguous hours, from the ledger's first
// on, of which nothing is left: see click.Reconciled. It is the zero time while
// there is none.
func (s *Store) ReconciledThrough(ctx context.Context) (time.Time, error) {
	reconciled, err := s.Reconciled(ctx)
	if err != nil || reconciled.Start() == (click.Window{}) {
		return time.Time{}, err
	}
	return reconciled.Through(), nil
}
