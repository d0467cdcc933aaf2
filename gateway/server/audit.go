package server

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

// auditTrail is where calls that change something are written down.
type auditTrail interface {
	// AddAuditEvent returns when the event is durable, as it has begun or, with an
	// end, as it has ended.
	AddAuditEvent(ctx context.Context, e click.AuditEvent) error
	AuditEvents(ctx context.Context, q click.AuditQuery) ([]click.AuditEvent, error)
}

// auditor writes calls down.
type auditor struct {
	trail     auditTrail
	log       *slog.Logger
	now       func() time.Time
	unwritten prometheus.Counter
}

func newAuditor(trail auditTrail, log *slog.Logger, registry prometheus.Registerer) *auditor {
	a := &auditor{trail: trail, log: log, now: time.Now, unwritten: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "clickledger_gateway_audit_ends_unwritten_total",
		Help: "Calls that changed something, or tried to, whose end could not be written into the audit.",
	})}
	registry.MustRegister(a.unwritten)
	return a
}

// record writes each call that changes something into the audit before anything
// is done, and its end after. What cannot be written down is not done. An end
// that cannot be written is logged and counted, and the event stays without one:
// the call's own answer is not changed, for it has happened. It stands behind
// everything that may refuse a call unread.
func (a *auditor) record() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			subject, detail, ok := audited(request.Any(), nil)
			if !ok {
				return next(ctx, request)
			}
			event, err := a.event(ctx, request.Spec().Procedure, subject, detail)
			if err != nil {
				return nil, err
			}
			if err := a.trail.AddAuditEvent(ctx, event); err != nil {
				return nil, err
			}
			if this, ok := ctx.Value(callKey{}).(*call); ok {
				this.eventID = event.ID
			}
			response, err := next(ctx, request)
			if err == nil {
				event.Subject, event.Detail, _ = audited(request.Any(), response.Any())
			} else {
				err = translate(err)
				event.Message = messageOf(err)
			}
			event.Code, event.EndedAt = codeOf(err), a.time()
			a.end(ctx, event)
			return response, err
		}
	}
}

func (a *auditor) event(ctx context.Context, procedure, subject, detail string) (click.AuditEvent, error) {
	id, err := newID()
	if err != nil {
		return click.AuditEvent{}, err
	}
	p := principalOf(ctx)
	return click.AuditEvent{
		ID: id, At: a.time(), Method: strings.TrimPrefix(procedure, "/clickledger.v1."),
		KeyID: p.KeyID, Role: p.Role, AdvertiserID: p.AdvertiserID, Subject: subject, Detail: detail,
	}, nil
}

func (a *auditor) time() time.Time { return a.now().UTC().Truncate(time.Microsecond) }

// end writes how a call ended, also when the caller has gone.
func (a *auditor) end(ctx context.Context, event click.AuditEvent) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endedTimeout)
	defer cancel()
	if err := a.trail.AddAuditEvent(ctx, event); err != nil {
		a.unwritten.Inc()
		a.log.ErrorContext(ctx, "the end of a call is not in the audit", "event_id", event.ID, "method", event.Method,
			"key_id", event.KeyID, "subject", event.Subject, "code", event.Code, "error", err)
	}
}
