package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"connectrpc.com/validate"

	"clickledger/internal/process"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

// messageBytesMax bounds one request: a thousand ads with the longest URLs
// and names are 2.3 MB.
const messageBytesMax = 4 << 20

type routeParts struct {
	log          *slog.Logger
	corsOrigins  []string
	metrics      *Metrics
	keys         *Keys
	limits       *callLimits
	auditor      *auditor
	readyz       http.HandlerFunc
	click        *clickHandler
	clickService *clickService
	catalog      *catalogService
	impression   *impressionService
	report       *reportService
	exports      *exportHandler
	operations   *operationsService
}

// routes is the public port: clicks before all else, then the API, health,
// reflection, and words for whoever is lost.
func routes(p routeParts) http.Handler {
	open := handlerOptions(p.log, observe(p.log, p.metrics), validate.NewInterceptor())
	// Who calls is found out before what is asked is checked.
	interceptors := []connect.Interceptor{
		&streamCalls{log: p.log, metrics: p.metrics, keys: p.keys},
		observe(p.log, p.metrics), authenticate(p.keys), limitCalls(p.limits), validate.NewInterceptor(), p.auditor.record(),
	}
	known := handlerOptions(p.log, interceptors...)
	p.exports.interceptors = interceptors

	r := &router{click: p.click, services: map[string]http.Handler{}, pages: map[string]http.Handler{
		"/healthz": http.HandlerFunc(process.Healthz),
		"/readyz":  p.readyz,
		exportPath: p.exports,
		"/":        sentence(http.StatusOK, "Clickledger gateway."),
	}}
	r.service(clickledgerv1connect.NewClickServiceHandler(p.clickService, open...))
	r.keyed(clickledgerv1connect.NewCatalogServiceHandler(p.catalog, known...))
	r.keyed(clickledgerv1connect.NewImpressionServiceHandler(p.impression, known...))
	prefix, reports := clickledgerv1connect.NewReportServiceHandler(p.report, slices.Concat(known, []connect.HandlerOption{p.report.lane.options()})...)
	r.keyed(prefix, onLine(reports))
	r.keyed(clickledgerv1connect.NewOperationsServiceHandler(p.operations, known...))

	names := []string{
		clickledgerv1connect.CatalogServiceName, clickledgerv1connect.ImpressionServiceName,
		clickledgerv1connect.ClickServiceName, clickledgerv1connect.ReportServiceName,
		clickledgerv1connect.OperationsServiceName,
	}
	reflector := grpcreflect.NewStaticReflector(names...)
	limit := connect.WithReadMaxBytes(messageBytesMax)
	r.service(grpcreflect.NewHandlerV1(reflector, limit))
	r.service(grpcreflect.NewHandlerV1Alpha(reflector, limit))
	r.service(grpchealth.NewHandler(grpchealth.NewStaticChecker(names...), limit))
	r.rest = crossOrigin(p.corsOrigins, http.HandlerFunc(r.serveRest))
	return r
}

// router finds a handler by the path as it was sent. http.ServeMux would
// answer a path that is not clean with a redirect to one the client chose.
type router struct {
	click    http.Handler
	pages    map[string]http.Handler // by path
	services map[string]http.Handler // by /SERVICE/, the first part of /SERVICE/METHOD
	rest     http.Handler            // all but clicks
}

func (r *router) service(prefix string, handler http.Handler) { r.services[prefix] = handler }

// keyed is a service for whom shows a key. The interceptors come to see a call
// only when its message could be read: a stranger is turned away before that.
func (r *router) keyed(prefix string, handler http.Handler) {
	writer := connect.NewErrorWriter()
	r.service(prefix, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, shown := shownKey(request.Header.Get("Authorization"))
		if shown || request.Method != http.MethodPost || !writer.IsSupported(request) {
			handler.ServeHTTP(w, request)
			return
		}
		_ = writer.Write(w, request, connect.NewError(connect.CodeUnauthenticated, errKeyMissing)) // nobody is left to tell
	}))
}

func (r *router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path == clickPath { // first: it is most of the traffic
		r.click.ServeHTTP(w, request)
		return
	}
	r.rest.ServeHTTP(w, request)
}

func (r *router) serveRest(w http.ResponseWriter, request *http.Request) {
	path := request.URL.Path
	handler, ok := r.pages[path]
	if slash := strings.LastIndexByte(path, '/'); !ok && slash >= 0 {
		handler, ok = r.services[path[:slash+1]]
	}
	if !ok {
		handler = sentence(http.StatusNotFound, "There is nothing here: clicks are at /click, the API at /clickledger.v1.SERVICE/METHOD.")
	}
	handler.ServeHTTP(w, request)
}

func sentence(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, status, text) })
}

func handlerOptions(log *slog.Logger, interceptors ...connect.Interceptor) []connect.HandlerOption {
	return []connect.HandlerOption{
		jsonCodecs(),
		connect.WithReadMaxBytes(messageBytesMax),
		connect.WithInterceptors(interceptors...),
		connect.WithRecover(func(ctx context.Context, spec connect.Spec, _ http.Header, cause any) error {
			log.ErrorContext(ctx, "panic", "method", spec.Procedure, "error", fmt.Sprint(cause), "stack", string(debug.Stack()))
			return connect.NewError(connect.CodeInternal, internalError{fmt.Errorf("panic: %v", cause)})
		}),
	}
}
