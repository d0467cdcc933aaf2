package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"time"

	"connectrpc.com/connect"
)

// streamCalls is for calls that stream what observe and authenticate are for
// those that do not: it translates and logs them, and lets nobody unknown pass.
// It sets no time limit: a stream lasts as long as its client likes.
type streamCalls struct {
	log     *slog.Logger
	metrics *Metrics
	keys    *Keys
}

// WrapUnary leaves other calls alone.
func (s *streamCalls) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

// WrapStreamingClient leaves clients alone.
func (s *streamCalls) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler is around each stream.
func (s *streamCalls) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		began, this, header := time.Now(), &call{}, conn.RequestHeader().Get("Authorization")
		ctx = context.WithValue(ctx, callKey{}, this)
		// A key that is revoked or expires while the stream lasts ends it.
		this.again = func() error { return enter(ctx, s.keys, header) }
		err := this.again()
		if err == nil {
			err = next(ctx, conn)
		}
		err = translate(err)
		method, code, took := path.Base(conn.Spec().Procedure), codeOf(err), time.Since(began)
		s.metrics.callTime.WithLabelValues(method, code).Observe(took.Seconds())
		logCall(ctx, s.log, this.principal, method, code, took, err)
		return err
	}
}

// lineKey carries the line of a stream in its context.
type lineKey struct{}

// onLine lets a handler set the deadlines of its own line to the client: those of
// the server are for calls that end soon.
func onLine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		line := http.NewResponseController(w)
		next.ServeHTTP(w, request.WithContext(context.WithValue(request.Context(), lineKey{}, line)))
	})
}

var errNoLine = errors.New("the call has no line of its own")

// lineOf is the line of ctx.
func lineOf(ctx context.Context) (*http.ResponseController, error) {
	line, ok := ctx.Value(lineKey{}).(*http.ResponseController)
	if !ok {
		return nil, errNoLine
	}
	return line, nil
}
