package main

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// labels are those of the SDK's tags that are kept. Every metric has all of
// them, empty where the SDK has none: Prometheus wants one set for each name.
func labels() []string {
	return []string{"task_queue", "worker_type", "poller_type", "workflow_type", "activity_type", "operation"}
}

// metrics gives the SDK's own metrics to Prometheus.
type metrics struct {
	collected *collected
	tags      map[string]string
}

// collected are the metrics that exist, by name: the SDK names them as it goes.
type collected struct {
	mu       sync.Mutex
	registry prometheus.Registerer
	counters map[string]*prometheus.CounterVec
	gauges   map[string]*prometheus.GaugeVec
	timers   map[string]*prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) client.MetricsHandler {
	return metrics{collected: &collected{
		registry: registry,
		counters: map[string]*prometheus.CounterVec{},
		gauges:   map[string]*prometheus.GaugeVec{},
		timers:   map[string]*prometheus.HistogramVec{},
	}}
}

// WithTags returns a handler whose metrics carry tags too.
func (m metrics) WithTags(tags map[string]string) client.MetricsHandler {
	all := maps.Clone(m.tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	return metrics{m.collected, all}
}

// Counter obtains the counter of a name.
func (m metrics) Counter(name string) client.MetricsCounter {
	vector := obtain(m.collected, m.collected.counters, name, func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name + "_total", Help: "Temporal SDK: " + name}, labels())
	})
	return counter{vector.WithLabelValues(m.values()...)}
}

// Gauge obtains the gauge of a name.
func (m metrics) Gauge(name string) client.MetricsGauge {
	vector := obtain(m.collected, m.collected.gauges, name, func() *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "Temporal SDK: " + name}, labels())
	})
	return gauge{vector.WithLabelValues(m.values()...)}
}

// Timer obtains the timer of a name, in seconds.
func (m metrics) Timer(name string) client.MetricsTimer {
	vector := obtain(m.collected, m.collected.timers, name, func() *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name + "_seconds", Help: "Temporal SDK: " + name, Buckets: prometheus.ExponentialBuckets(0.005, 4, 8),
		}, labels())
	})
	return timer{vector.WithLabelValues(m.values()...)}
}

func (m metrics) values() []string {
	values := labels()
	for i, label := range values {
		values[i] = m.tags[label]
	}
	return values
}

// obtain is the vector of a name, made and registered the first time.
func obtain[V prometheus.Collector](c *collected, known map[string]V, name string, create func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	vector, ok := known[name]
	if !ok {
		vector = create()
		c.registry.MustRegister(vector)
		known[name] = vector
	}
	return vector
}

type counter struct{ prometheus.Counter }

func (c counter) Inc(by int64) { c.Add(float64(by)) }

type gauge struct{ prometheus.Gauge }

func (g gauge) Update(value float64) { g.Set(value) }

type timer struct{ prometheus.Observer }

func (t timer) Record(d time.Duration) { t.Observe(d.Seconds()) }
