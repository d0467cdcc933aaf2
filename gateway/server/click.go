package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clickledger/internal/click"
)

const (
	clickPath       = "/click"
	clickedAtHeader = "Clickledger-Clicked-At"
	clickedAtLayout = "2006-01-02T15:04:05.000Z"
	// retryAfterSeconds is what is told to whom an outage turns away.
	retryAfterSeconds = "1"
)

// clickHandler answers GET and HEAD /click?t=TOKEN. It is the hot path: no
// maps, no reflection, header values made once.
type clickHandler struct {
	recorder *Recorder
	metrics  *Metrics
	outages  outages

	noStore, noReferrer []string
}

func newClickHandler(recorder *Recorder, metrics *Metrics, o outages) *clickHandler {
	return &clickHandler{
		recorder: recorder, metrics: metrics, outages: o,
		noStore: []string{"no-store"}, noReferrer: []string{"no-referrer"},
	}
}

func (h *clickHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	header := w.Header()
	header["Cache-Control"] = h.noStore
	header["Referrer-Policy"] = h.noReferrer
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		h.refuse(w, refusal{http.StatusMethodNotAllowed, "method", "A click is a GET."})
		return
	}
	token, ok := tokenOf(r.URL.RawQuery)
	if !ok {
		h.refuse(w, refusal{http.StatusBadRequest, "malformed", "The address has no click token: /click?t=TOKEN is expected."})
		return
	}
	done, err := h.recorder.record(r.Context(), token, isPrefetch(r))
	h.outages.saw(done.verdict, err)
	if err != nil && done.verdict != click.NotRecorded {
		h.refuse(w, refusalOf(err))
		return
	}
	header["Location"] = done.ad.location
	if !done.clickedAt.IsZero() {
		header[clickedAtHeader] = []string{done.clickedAt.Format(clickedAtLayout)}
	}
	w.WriteHeader(http.StatusFound)
	h.metrics.clicked(done.verdict, time.Since(began))
}

// refusal is an answer other than a redirect. Nothing of it comes from the client.
type refusal struct {
	status   int
	reason   string // of the metric
	sentence string
}

func refusalOf(err error) refusal {
	switch {
	case errors.Is(err, click.ErrTokenShape):
		return refusal{http.StatusBadRequest, "malformed", "The click token is malformed."}
	case errors.Is(err, click.ErrTokenSignature):
		return refusal{http.StatusForbidden, "forged", "The click token was not signed here."}
	case errors.Is(err, click.ErrTokenFuture):
		return refusal{http.StatusForbidden, "future", "The click token was issued in the future."}
	case errors.Is(err, click.ErrNotFound):
		return refusal{http.StatusNotFound, "unknown_ad", "There is no such ad."}
	case errors.Is(err, click.ErrUnavailable):
		return refusal{http.StatusServiceUnavailable, "unavailable", "The click could not be answered just now. Please try again in a moment."}
	default:
		return refusal{http.StatusInternalServerError, "internal", "The click could not be recorded."}
	}
}

func (h *clickHandler) refuse(w http.ResponseWriter, answer refusal) {
	h.metrics.refused(answer.reason)
	if answer.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfterSeconds)
	}
	plain(w, answer.status, answer.sentence)
}

// plain answers one sentence of our own.
func plain(w http.ResponseWriter, status int, sentence string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(sentence + "\n")) //nolint:gosec // plain text that no browser may take for anything else; nobody is left to tell of an error
}

// tokenOf is the first parameter t of a query. The usual query is just t=TOKEN.
func tokenOf(query string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		value, ok := strings.CutPrefix(pair, "t=")
		if !ok {
			continue
		}
		if strings.IndexByte(value, '%') >= 0 { // no token needs it, some clients do it
			unescaped, err := url.QueryUnescape(value)
			return unescaped, err == nil && unescaped != ""
		}
		return value, value != ""
	}
	return "", false
}

// isPrefetch reports whether nobody has clicked yet: a HEAD, or a browser that
// fetches or renders ahead (Sec-Purpose: prefetch[;prerender], Fetch standard).
func isPrefetch(r *http.Request) bool {
	if r.Method == http.MethodHead {
		return true
	}
	purpose := r.Header["Sec-Purpose"]
	return len(purpose) > 0 && strings.HasPrefix(purpose[0], "prefetch")
}
