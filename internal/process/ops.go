package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	opsHeaderTimeout = 5 * time.Second
	opsStopTimeout   = 5 * time.Second
	checkTimeout     = 2 * time.Second
)

// Check answers nil when a part is ready, or why it is not, in a plain
// sentence that may be shown to anybody.
type Check func(context.Context) error

// Ops is a program's operations port: /metrics (Prometheus), /healthz (the
// process runs), /readyz (every check passes; JSON by name) and /debug/pprof.
// It is for operators; it is never the port clicks come in by.
type Ops struct {
	Registry *prometheus.Registry

	mu       sync.Mutex
	checks   map[string]Check
	stopping atomic.Bool
	server   *http.Server
	listener net.Listener
}

// NewOps begins to listen at addr. Call Serve to answer.
func NewOps(addr string) (*Ops, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for operations: %w", err)
	}
	o := &Ops{Registry: prometheus.NewRegistry(), checks: map[string]Check{}, listener: listener}
	o.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", Healthz)
	mux.HandleFunc("GET /readyz", o.Readyz)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: opsHeaderTimeout}
	return o, nil
}

// Addr is where it listens.
func (o *Ops) Addr() string { return o.listener.Addr().String() }

// AddCheck makes readiness depend on check.
func (o *Ops) AddCheck(name string, check Check) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checks[name] = check
}

// Serve answers until Stop.
func (o *Ops) Serve(log *slog.Logger) {
	log.Info("operations port", "addr", o.Addr())
	if err := o.server.Serve(o.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Error("serve operations", "error", err)
	}
}

// NotReady makes readiness fail for good: the first step of an ordered stop.
func (o *Ops) NotReady() { o.stopping.Store(true) }

// Stop ends the port: the last step of an ordered stop.
func (o *Ops) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), opsStopTimeout)
	defer cancel()
	_ = o.server.Shutdown(ctx)
}

// Healthz answers that the process runs.
func Healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// Readyz answers 200 when every check passes, else 503; the body is a JSON
// object from check to "ok" or the reason.
func (o *Ops) Readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	faults := o.Faults(ctx)
	o.mu.Lock()
	body := make(map[string]string, len(o.checks)+1)
	for name := range o.checks {
		body[name] = "ok"
	}
	o.mu.Unlock()
	for name, err := range faults {
		body[name] = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	if len(faults) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body)
}

// Faults runs every check at once and returns those that fail, by name.
func (o *Ops) Faults(ctx context.Context) map[string]error {
	faults := map[string]error{}
	if o.stopping.Load() {
		faults["process"] = errors.New("stopping")
		return faults
	}
	o.mu.Lock()
	checks := make(map[string]Check, len(o.checks))
	for name, check := range o.checks {
		checks[name] = check
	}
	o.mu.Unlock()
	var wait sync.WaitGroup
	var mu sync.Mutex
	for name, check := range checks {
		wait.Go(func() {
			if err := check(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults[name] = err
			}
		})
	}
	wait.Wait()
	return faults
}
