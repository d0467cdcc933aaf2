// Package server answers clicks and the API. Its parts are given to it by the
// small interfaces it declares; it knows no client library of any server.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	// The longest call, and then a slow line for the largest answer: some 5 MB.
	writeTimeout   = callTimeout + 40*time.Second
	idleTimeout    = 2 * time.Minute
	headerBytesMax = 16 << 10
	streamsMax     = 1_000 // concurrent calls of one HTTP/2 connection
)

// Parts are what a server is made of. All are needed.
type Parts struct {
	Config   config.Config
	Log      *slog.Logger
	Registry prometheus.Registerer
	Ads      *Ads
	Producer interface {
		producer
		Pinger
	}
	Journal journal
	Breaker *Breaker
	// Filtered takes the reports of what is not produced.
	Filtered filteredSender
	Store    interface {
		catalogueStore
		reportStore
		liveStore
		hotAdStatus
		letterAudit
		auditTrail
		reconciliationRecord
		Pinger
	}
	Letters  letterShelf
	Stream   streamStatus
	Gateways interface {
		gatewayStates
		revocationNews
	}
	Cache   Pinger
	Seen    seenStatus
	Archive archiveStatus
	// Readyz answers readiness for the port clicks come in by.
	Readyz http.HandlerFunc
}

// Server is the gateway's public port.
type Server struct {
	Recorder *Recorder
	Keys     *Keys
	// Filtered is to be run beside the server, and to outlive it.
	Filtered *FilteredReporter
	watches  *watchHub
	exports  *exportHandler
	http     *http.Server
}

// New wires the handlers.
func New(p Parts) (*Server, error) {
	if p.Log == nil || p.Registry == nil || p.Ads == nil || p.Producer == nil || p.Journal == nil || p.Breaker == nil || p.Filtered == nil || p.Store == nil ||
		p.Letters == nil || p.Stream == nil || p.Gateways == nil || p.Cache == nil || p.Seen == nil || p.Archive == nil || p.Readyz == nil {
		return nil, errors.New("a part of the server is missing")
	}
	keyring, err := click.NewKeyring(p.Config.TokenKeys, p.Config.TokenValidity)
	if err != nil {
		return nil, fmt.Errorf("read token keys: %w", err)
	}
	keys, err := NewKeys(p.Config.AdminKey, p.Store)
	if err != nil {
		return nil, err
	}
	limits, err := newCallLimits(p.Config)
	if err != nil {
		return nil, err
	}
	metrics := NewMetrics(p.Registry)
	filtered, err := newFilteredReporter(p.Filtered, p.Log, p.Registry)
	if err != nil {
		return nil, err
	}
	recorder, err := NewRecorder(keyring, p.Ads, p.Producer, p.Journal, p.Breaker, filtered, metrics)
	if err != nil {
		return nil, err
	}
	metrics.WatchClock(p.Registry, recorder)
	o := newOutages(p.Log)
	watches := newWatchHub(p.Store, p.Log, p.Registry)
	report := &reportService{store: &guardedReports{
		reportStore: p.Store, slots: newReportSlots(p.Config.ReportsAtOnce), rowsMax: p.Config.ReportRowsMax,
	}, now: time.Now, watches: watches, lane: newLane()}
	exports := newExportHandler(report, keys, p.Log)
	handler := routes(routeParts{
		log: p.Log, corsOrigins: p.Config.CORSOrigins, metrics: metrics, keys: keys, limits: limits, auditor: newAuditor(p.Store, p.Log, p.Registry), readyz: p.Readyz,
		click:        newClickHandler(recorder, metrics, o),
		clickService: &clickService{recorder: recorder, metrics: metrics, outages: o},
		catalog:      &catalogService{store: p.Store, ads: p.Ads, keys: keys, log: p.Log, gateways: p.Gateways, now: time.Now},
		impression: &impressionService{
			keys: keyring, ads: p.Ads, metrics: metrics,
			publicURL: strings.TrimRight(p.Config.PublicURL, "/"), now: time.Now,
		},
		report: report, exports: exports,
		operations: &operationsService{
			namespace: p.Config.Namespace, lateness: p.Config.AllowedLateness, stream: p.Stream, letters: p.Letters, audit: p.Store, trail: p.Store, seals: p.Store, record: p.Store, hot: p.Store, seen: p.Seen, archive: p.Archive, gateways: p.Gateways,
			kafka: p.Producer, clickhouse: p.Store, cache: p.Cache, now: time.Now,
		},
	})
	return &Server{Recorder: recorder, Keys: keys, Filtered: filtered, watches: watches, exports: exports, http: newHTTPServer(handler, p.Log)}, nil
}

// Handler is what the server answers with, for tests.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers at the listener until Shutdown.
func (s *Server) Serve(listener net.Listener) error {
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve clicks: %w", err)
	}
	return nil
}

// Shutdown takes no new requests and waits for those that run, until ctx ends.
// Whoever watches is told first: that would last for ever. Exports end with the page
// they are at.
func (s *Server) Shutdown(ctx context.Context) error {
	s.watches.close()
	s.exports.close()
	if err := s.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop serving clicks: %w", errors.Join(err, s.http.Close()))
	}
	return nil
}

// newHTTPServer serves HTTP/1.1 and HTTP/2 without TLS on one port: gRPC
// clients begin with HTTP/2 at once.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsMax},
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
