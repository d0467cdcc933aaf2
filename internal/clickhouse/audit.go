package clickhouse

import (
	"context"
	"fmt"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"clickledger/internal/click"
)

// The stage tells the two rows of an event apart. In the order of the key the
// end comes after the beginning.
const (
	auditColumns = "at, event_id, stage, ended_at, method, key_id, role, advertiser_id, subject, detail, code, message"
	auditBegun   = "BEGUN"
	auditEnded   = "ENDED"
)

// AddAuditEvent writes an event as it has begun or, with an end, as it has
// ended, and returns when that is durable. Writing the same again changes
// nothing.
func (s *Store) AddAuditEvent(ctx context.Context, e click.AuditEvent) error {
	return s.InsertAuditEvents(ctx, []click.AuditEvent{e})
}

// AuditEvents is one page of events, the newest first, each as it is known last.
func (s *Store) AuditEvents(ctx context.Context, q click.AuditQuery) ([]click.AuditEvent, error) {
	query, parameters := auditEventsSQL(q)
	rows, err := s.conn.Query(ch.Context(s.limited(ctx, reportQuerySeconds, nil), ch.WithParameters(parameters)), query)
	if err != nil {
		return nil, readError("list audit events", err)
	}
	defer func() { _ = rows.Close() }()
	var events []click.AuditEvent
	for rows.Next() {
		e, err := scanAuditEvent(rows)
		if err != nil {
			return nil, fmt.Errorf("list audit events: %w", err)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("list audit events", err)
	}
	return events, nil
}

// auditEventsSQL has of each event its last row. Both have what is asked for,
// but for a subject that did not exist before.
func auditEventsSQL(q click.AuditQuery) (string, ch.Parameters) {
	var where conditions
	where.and("{limit:UInt32} > 0", "limit", fmt.Sprint(q.Limit))
	if !q.From.IsZero() {
		where.and("at >= {from:DateTime64(6, 'UTC')}", "from", q.From.UTC().Format(microsLayout))
	}
	if !q.To.IsZero() {
		where.and("at < {to:DateTime64(6, 'UTC')}", "to", q.To.UTC().Format(microsLayout))
	}
	if q.KeyID != nil {
		where.and("key_id = {key:Int64}", "key", fmt.Sprint(*q.KeyID))
	}
	if q.Method != "" {
		where.and("method = {method:String}", "method", q.Method)
	}
	if q.Subject != "" {
		where.and("subject = {subject:String}", "subject", q.Subject)
	}
	if a := q.After; a != nil {
		where.parameters["after_id"] = fmt.Sprint(a.ID)
		where.and("(at, event_id) < ({after_at:DateTime64(6, 'UTC')}, {after_id:Int64})", "after_at", a.At.UTC().Format(microsLayout))
	}
	return "SELECT " + auditColumns + "\nFROM audit_events" + where.text + `
ORDER BY at DESC, event_id DESC, stage DESC
LIMIT 1 BY at, event_id
LIMIT {limit:UInt32}`, where.parameters
}

// EachAuditEvent visits every row: an event that has ended comes twice.
func (s *Store) EachAuditEvent(ctx context.Context, visit func(click.AuditEvent) error) error {
	return each(ctx, s, click.ExportAuditEvents, auditColumns, visit, scanAuditEvent)
}

// InsertAuditEvents writes rows, all or none.
func (s *Store) InsertAuditEvents(ctx context.Context, events []click.AuditEvent) error {
	return insertAll(ctx, s, click.ExportAuditEvents, auditColumns, events, auditRow)
}

// scanAuditEvent and auditRow are auditColumns, to and fro.

func scanAuditEvent(rows driver.Rows) (e click.AuditEvent, err error) {
	var stage, role string
	err = rows.Scan(&e.At, &e.ID, &stage, &e.EndedAt, &e.Method, &e.KeyID, &role, &e.AdvertiserID, &e.Subject, &e.Detail, &e.Code, &e.Message)
	e.At, e.EndedAt, e.Role = e.At.UTC(), orZero(e.EndedAt), click.Role(role)
	return e, err
}

func auditRow(e *click.AuditEvent) []any {
	stage := auditBegun
	if !e.EndedAt.IsZero() {
		stage = auditEnded
	}
	return []any{
		e.At, e.ID, stage, orEpoch(e.EndedAt), e.Method, e.KeyID, string(e.Role), e.AdvertiserID,
		e.Subject, e.Detail, e.Code, e.Message,
	}
}
