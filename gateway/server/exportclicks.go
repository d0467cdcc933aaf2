package server

import (
	"context"
	"encoding/csv"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/cenkalti/backoff/v5"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	exportPath = "/reports/clicks.csv"
	// sealedThroughHeader says what QueryClicks answers as sealed_through.
	sealedThroughHeader = "Clickledger-Sealed-Through"

	exportsMax          = 8 // of a gateway at a time
	exportsPerTenantMax = 2
	// exportPagePoints is how many points are in memory at a time, or one ad's.
	exportPagePoints = 10_000
	exportTimeout    = 30 * time.Minute
	// A page that cannot be read just now is tried again.
	exportTriesMax   = 4
	exportRetryPause = 500 * time.Millisecond
	// exportPageTimeout is for reading one page and for its way to the client.
	exportPageTimeout = exportTriesMax*callTimeout + 40*time.Second
)

// exportHandler answers GET /reports/clicks.csv: what QueryClicks answers to the
// same question, as a row for each point, streamed page by page. All pages are
// as of one sealed_through.
//
// What goes wrong before the first row has a status and a sentence. What goes wrong
// later breaks the connection off before the answer's end, so that a file that
// is too short is never taken for a whole one.
type exportHandler struct {
	reports      *reportService
	keys         *Keys
	interceptors []connect.Interceptor // as of every call
	log          *slog.Logger
	mu           sync.Mutex
	running      int
	tenants      map[tenant]int
	closed       bool
}

func newExportHandler(reports *reportService, keys *Keys, log *slog.Logger) *exportHandler {
	return &exportHandler{reports: reports, keys: keys, log: log, tenants: map[tenant]int{}}
}

func (h *exportHandler) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		plain(w, http.StatusMethodNotAllowed, "An export is read with GET.")
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), exportTimeout)
	defer cancel()
	e := &export{ask: h.reports.query}
	defer e.leave()
	if err := h.begin(ctx, request, e); err != nil {
		refuseExport(w, err)
		return
	}
	line := http.NewResponseController(w)
	if err := line.SetReadDeadline(time.Time{}); err != nil { // there is nothing left to read
		refuseExport(w, translate(err))
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8")
	header.Set("Content-Disposition", `attachment; filename="clicks.csv"`)
	header.Set("Cache-Control", "no-store")
	if !e.query.SealedThrough.IsZero() {
		header.Set(sealedThroughHeader, e.query.SealedThrough.Format(time.RFC3339))
	}
	began, rows := time.Now(), csv.NewWriter(w)
	if err := e.write(rows, line); err != nil {
		h.log.Warn("an export broke off", "error", err)
		panic(http.ErrAbortHandler) // the client sees that the answer has no end
	}
	h.log.Info("exported", "points", e.points, "ms", float64(time.Since(began).Microseconds())/1000)
}

// admit lets one more export of a tenant run, or says why not; leave ends it.
func (h *exportHandler) admit(of tenant) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, exportStopping()
	case h.running >= exportsMax:
		return nil, exhaustedf("%d exports run at this gateway, as many as may: try again in a moment", exportsMax)
	case h.tenants[of] >= exportsPerTenantMax:
		return nil, exhaustedf("%d of your exports run at this gateway, as many as may: wait for one of them", exportsPerTenantMax)
	}
	h.running++
	h.tenants[of]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
		if h.tenants[of]--; h.tenants[of] == 0 {
			delete(h.tenants, of)
		}
	}, nil
}

// close takes no more exports, and breaks those that run off before their next
// page: a stopping gateway waits for no file.
func (h *exportHandler) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

func exportStopping() error { return unavailable("this gateway stops: try again in a moment") }

func (h *exportHandler) stopping() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return exportStopping()
	}
	return nil
}

// export is one that runs.
type export struct {
	ctx    context.Context // of the request, with who makes it
	again  func() error    // whether it still may
	in     *v1.QueryClicksRequest
	asked  reportRange
	query  FiguresQuery
	ask    func(context.Context, *v1.QueryClicksRequest, reportRange, FiguresQuery) (*v1.QueryClicksResponse, error)
	page   *v1.QueryClicksResponse // the next to write
	zone   *time.Location
	points int
	left   func() // nil before it was admitted
}

func (e *export) leave() {
	if e.left != nil {
		e.left()
	}
}

// begin reads what is asked and answers the first page, through all that a call
// of the API goes through.
func (h *exportHandler) begin(ctx context.Context, request *http.Request, e *export) error {
	key := request.Header.Get("Authorization")
	if _, shown := shownKey(key); !shown {
		return connect.NewError(connect.CodeUnauthenticated, errKeyMissing)
	}
	parameters, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil { // whatever could not be told apart would be left out
		return invalid("the parameters cannot be read: write them as name=value&name=value, and what is not a letter or a digit as %XX")
	}
	in, err := readExport(parameters)
	if err != nil {
		return err
	}
	e.in = in
	first := connect.UnaryFunc(func(called context.Context, _ connect.AnyRequest) (connect.AnyResponse, error) {
		e.ctx = context.WithValue(ctx, callKey{}, called.Value(callKey{})) // called ends with this call
		if e.left, err = h.admit(tenantOf(principalOf(called))); err != nil {
			return nil, err
		}
		if e.asked, e.query, err = h.reports.prepare(called, in); err != nil {
			return nil, err
		}
		if err = h.reports.requireOwn(called, in.GetAdvertiserId(), in.GetAdIds()); err != nil {
			return nil, err
		}
		if e.zone, err = location(in.GetTimeZone()); err != nil {
			return nil, err
		}
		e.page, err = e.ask(called, in, e.asked, e.query)
		return connect.NewResponse(e.page), err
	})
	e.again = func() error {
		if err := h.stopping(); err != nil {
			return err
		}
		return enter(e.ctx, h.keys, key)
	}
	for i := len(h.interceptors) - 1; i >= 0; i-- {
		first = h.interceptors[i].WrapUnary(first)
	}
	call := exportCall{Request: connect.NewRequest(in), peer: connect.Peer{Addr: request.RemoteAddr, Protocol: connect.ProtocolConnect}}
	for name, values := range request.Header {
		call.Header()[name] = values
	}
	_, err = first(ctx, call)
	return err
}

// exportCall is an export as interceptors see it.
type exportCall struct {
	*connect.Request[v1.QueryClicksRequest]
	peer connect.Peer
}

// Spec names the call in logs and metrics.
func (exportCall) Spec() connect.Spec {
	return connect.Spec{StreamType: connect.StreamTypeUnary, Procedure: exportPath, IdempotencyLevel: connect.IdempotencyNoSideEffects}
}

// Peer is who calls.
func (c exportCall) Peer() connect.Peer { return c.peer }

// write writes the head, and page after page as they are read.
func (e *export) write(rows *csv.Writer, line *http.ResponseController) error {
	if err := rows.Write([]string{"start_time", "ad_id", "clicks", "filtered", "state"}); err != nil {
		return err
	}
	for {
		if err := line.SetWriteDeadline(time.Now().Add(exportPageTimeout)); err != nil {
			return err
		}
		for _, p := range e.page.GetPoints() {
			if err := rows.Write(e.row(p)); err != nil {
				return err
			}
		}
		if rows.Flush(); rows.Error() != nil {
			return rows.Error()
		}
		e.points += len(e.page.GetPoints())
		if e.page.GetNextPageToken() == "" {
			return nil
		}
		if err := e.next(); err != nil {
			return err
		}
	}
}

// next reads the next page, as of the same sealed_through. A store that has too
// much to do for a moment does not break the file off.
func (e *export) next() error {
	e.in.PageToken = e.page.GetNextPageToken()
	var err error
	e.page, err = backoff.Retry(e.ctx, func() (*v1.QueryClicksResponse, error) {
		if err := e.again(); err != nil {
			return nil, backoff.Permanent(err)
		}
		ctx, cancel := context.WithTimeout(e.ctx, callTimeout)
		defer cancel()
		e.query.Asked = time.Now() // each page is as of when its turn came
		page, err := e.ask(ctx, e.in, e.asked, e.query)
		if code := connect.CodeOf(translate(err)); err != nil && code != connect.CodeUnavailable && code != connect.CodeResourceExhausted {
			err = backoff.Permanent(err)
		}
		return page, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(exportRetryPause)), backoff.WithMaxTries(exportTriesMax))
	return err
}

// row is a point; what is not known of it is empty.
func (e *export) row(p *v1.Point) []string {
	row := []string{
		p.GetStartTime().AsTime().In(e.zone).Format(time.RFC3339), "", strconv.FormatInt(p.GetClicks(), 10), "",
		strings.TrimPrefix(p.GetState().String(), "STATE_"),
	}
	if p.AdId != nil {
		row[1] = strconv.FormatInt(p.GetAdId(), 10)
	}
	if p.Filtered != nil {
		row[3] = strconv.FormatInt(p.GetFiltered(), 10)
	}
	return row
}

// readExport reads a question to QueryClicks from the parameters of a URL, named
// as its fields are. Like JSON, they are understood whole or refused.
func readExport(parameters url.Values) (*v1.QueryClicksRequest, error) {
	in := &v1.QueryClicksRequest{}
	fields := in.ProtoReflect().Descriptor().Fields()
	for name, texts := range parameters {
		field := fields.ByName(protoreflect.Name(name))
		if field == nil || name == "page_size" || name == "page_token" {
			return nil, invalidf("%q is no parameter of an export: they are named as the fields of QueryClicks, without its pages", name)
		}
		value, ok := parameterJSON(field, texts)
		if !ok {
			return nil, unreadable(field)
		}
		part := &v1.QueryClicksRequest{}
		if err := protojson.Unmarshal([]byte(`{"`+name+`":`+value+`}`), part); err != nil {
			return nil, unreadable(field)
		}
		proto.Merge(in, part)
	}
	if in.GetGroupByAd() {
		in.PageSize = exportPagePoints
	}
	return in, nil
}

// parameterJSON is the values of a parameter as protobuf JSON has them.
func parameterJSON(field protoreflect.FieldDescriptor, texts []string) (string, bool) {
	if field.IsList() {
		var quoted []string
		for _, text := range strings.Split(strings.Join(texts, ","), ",") {
			quoted = append(quoted, strconv.Quote(text))
		}
		return "[" + strings.Join(quoted, ",") + "]", true
	}
	text := texts[len(texts)-1]
	if len(texts) > 1 {
		return "", false
	}
	switch field.Kind() {
	case protoreflect.BoolKind:
		return text, text == "true" || text == "false"
	case protoreflect.EnumKind: // DAY for GRANULARITY_DAY
		prefix := strings.ToUpper(string(field.Enum().Name())) + "_"
		return strconv.Quote(prefix + strings.TrimPrefix(text, prefix)), true
	default:
		return strconv.Quote(text), true
	}
}

func unreadable(field protoreflect.FieldDescriptor) error {
	example := "give it once"
	switch {
	case field.IsList():
		example = "write " + string(field.Name()) + "=1,2"
	case field.Kind() == protoreflect.BoolKind:
		example = "write true or false, once"
	case field.Kind() == protoreflect.EnumKind:
		example = "write MINUTE, HOUR, DAY, WEEK or MONTH, once"
	case field.Kind() == protoreflect.MessageKind:
		example = "write a time as 2026-11-23T10:00:00Z, once"
	}
	return invalidf("the parameter %s cannot be read: %s", field.Name(), example)
}

// refuseExport answers an error as a status and a sentence.
func refuseExport(w http.ResponseWriter, err error) {
	var refused *connect.Error
	if !errors.As(translate(err), &refused) {
		refused = connect.NewError(connect.CodeInternal, err)
	}
	for name, values := range refused.Meta() {
		w.Header()[name] = values
	}
	plain(w, statusOf(refused.Code()), refused.Message())
}

// statusOf is the status that the Connect protocol has for a code.
func statusOf(code connect.Code) int {
	switch code {
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeOutOfRange:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeAborted, connect.CodeAlreadyExists:
		return http.StatusConflict
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeUnavailable:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}
