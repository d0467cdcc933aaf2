package server

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"time"

	"connectrpc.com/connect"

	"clickledger/internal/click"
)

// callTimeout bounds every API call; a client may ask for less.
const callTimeout = 20 * time.Second

// callKey carries the call in its context.
type callKey struct{}

// call is what is known of one API call while it runs.
type call struct {
	principal Principal
	eventID   int64 // of the audit; 0 for a call that changes nothing
	// again finds out once more whether the key is good; only a stream has it.
	again func() error
}

// callAgain is whether whoever makes the call of ctx may still make it.
func callAgain(ctx context.Context) error {
	if c, ok := ctx.Value(callKey{}).(*call); ok && c.again != nil {
		return c.again()
	}
	return nil
}

// principalOf is who makes the call of ctx. Methods that need nobody have the
// zero Principal, which may do nothing.
func principalOf(ctx context.Context) Principal {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.principal
	}
	return Principal{}
}

// eventOf is the id under which the audit has the call of ctx.
func eventOf(ctx context.Context) int64 {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.eventID
	}
	return 0
}

// observe bounds, times, translates and logs each call: the outermost.
func observe(log *slog.Logger, metrics *Metrics) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			this := &call{}
			response, err := next(context.WithValue(ctx, callKey{}, this), request)
			err = translate(err)
			method, code, took := path.Base(request.Spec().Procedure), codeOf(err), time.Since(began)
			metrics.callTime.WithLabelValues(method, code).Observe(took.Seconds())
			logCall(ctx, log, this.principal, method, code, took, err)
			return response, err
		}
	}
}

func logCall(ctx context.Context, log *slog.Logger, p Principal, method, code string, took time.Duration, err error) {
	level, attributes := slog.LevelInfo, []slog.Attr{
		slog.String("method", method), slog.String("code", code),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("role", string(p.Role)), slog.Int64("key_id", p.KeyID),
	}
	if p.Role == "" {
		level = slog.LevelDebug // anybody can make these; the metrics count them
	}
	if text := cause(err); text != "" {
		level, attributes = slog.LevelError, append(attributes, slog.String("error", text))
		if connect.CodeOf(err) == connect.CodeUnavailable {
			level = slog.LevelWarn // another's outage, not our mistake
		}
	}
	log.LogAttrs(ctx, level, "call", attributes...)
}

func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return connect.CodeOf(err).String()
}

// authenticate finds out who calls and lets nobody unknown pass.
func authenticate(keys *Keys) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			if err := enter(ctx, keys, request.Header().Get("Authorization")); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}

// enter finds out who makes the call of ctx, and refuses it to nobody known.
func enter(ctx context.Context, keys *Keys, header string) error {
	principal, err := keys.Authenticate(ctx, header)
	switch {
	case errors.Is(err, errKeyGuessing):
		return exhausted(err, keyRetryAfter)
	case errors.Is(err, errKeyMissing), errors.Is(err, errKeyInvalid):
		return connect.NewError(connect.CodeUnauthenticated, err)
	case err != nil:
		return err
	}
	if this, ok := ctx.Value(callKey{}).(*call); ok {
		this.principal = principal
	}
	return nil
}

// What each may do. An advertiser's own is decided without a look-up, so the
// answer cannot depend on what exists.

func requireAdmin(ctx context.Context) error {
	if principalOf(ctx).Role != click.RoleAdmin {
		return forbidden()
	}
	return nil
}

func requireAdvertiser(ctx context.Context, advertiserID int64) error {
	switch p := principalOf(ctx); p.Role {
	case click.RoleAdmin:
		return nil
	case click.RoleAdvertiser:
		if p.AdvertiserID == advertiserID {
			return nil
		}
		return forbidden()
	case click.RolePublisher:
		return forbidden()
	default:
		return forbidden()
	}
}
