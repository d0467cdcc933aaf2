package server

import (
	"context"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// ListAuditEvents reads one page, the newest first.
func (s *operationsService) ListAuditEvents(ctx context.Context, in *v1.ListAuditEventsRequest) (*v1.ListAuditEventsResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	query := click.AuditQuery{KeyID: in.KeyId, Method: in.GetMethod(), Subject: in.GetSubject()}
	var err error
	if query.From, query.To, err = timeRange(in.GetStartTime(), in.GetEndTime()); err != nil {
		return nil, err
	}
	query.After, err = parseKeyToken(in.GetPageToken(), func(k *click.AuditKey) bool {
		return k.At.Year() >= 1970 && k.At.Year() <= 2105
	})
	if err != nil {
		return nil, err
	}
	size := pageSize(in.GetPageSize())
	query.Limit = size + 1
	events, err := s.trail.AuditEvents(ctx, query)
	if err != nil {
		return nil, err
	}
	out := &v1.ListAuditEventsResponse{}
	if len(events) > size {
		events = events[:size]
		last := &events[size-1]
		if out.NextPageToken, err = keyToken(click.AuditKey{At: last.At, ID: last.ID}); err != nil {
			return nil, err
		}
	}
	for i := range events {
		out.Events = append(out.Events, auditEventToProto(&events[i]))
	}
	return out, nil
}

func auditEventToProto(e *click.AuditEvent) *v1.AuditEvent {
	return &v1.AuditEvent{
		EventId: e.ID, Time: timeToProto(e.At), Method: e.Method, KeyId: e.KeyID, Role: roleToProto(e.Role), AdvertiserId: e.AdvertiserID,
		Subject: e.Subject, Detail: e.Detail, Code: e.Code, Message: e.Message, EndTime: timeToProto(e.EndedAt),
	}
}
