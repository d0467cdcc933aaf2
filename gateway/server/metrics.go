package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

// Metrics of the gateway. Label values are our own words, never a client's.
type Metrics struct {
	accepted, duplicate, expired, paused, prefetch prometheus.Counter

	journalled, lost prometheus.Counter

	refusals    *prometheus.CounterVec
	clickTime   prometheus.Histogram
	callTime    *prometheus.HistogramVec
	impressions prometheus.Counter
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	verdicts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clickledger_gateway_clicks_total",
		Help: "Clicks that were redirected, by verdict. Only ACCEPTED ones were recorded.",
	}, []string{"verdict"})
	m := &Metrics{
		// Looked up once: a label costs a hash of its value at each use.
		accepted:  verdicts.WithLabelValues(string(click.Accepted)),
		duplicate: verdicts.WithLabelValues(string(click.Duplicate)),
		expired:   verdicts.WithLabelValues(string(click.Expired)),
		paused:    verdicts.WithLabelValues(string(click.Paused)),
		prefetch:  verdicts.WithLabelValues(string(click.Prefetch)),
		journalled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clickledger_gateway_clicks_journalled_total",
			Help: "Clicks that Kafka did not take in time and that were made durable in the journal.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clickledger_gateway_clicks_lost_total",
			Help: "Clicks that were redirected but not recorded: neither Kafka nor the journal took them.",
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clickledger_gateway_clicks_refused_total",
			Help: "Clicks that were answered an error, by reason.",
		}, []string{"reason"}),
		clickTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "clickledger_gateway_click_seconds",
			Help:    "Time from a click's arrival to its redirect.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 2},
		}),
		callTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "clickledger_gateway_call_seconds",
			Help:    "Time of an API call, by method and Connect code.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2, 10},
		}, []string{"method", "code"}),
		impressions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clickledger_gateway_impressions_total",
			Help: "Impressions issued.",
		}),
	}
	registry.MustRegister(verdicts, m.journalled, m.lost, m.refusals, m.clickTime, m.callTime, m.impressions)
	return m
}

func (m *Metrics) clicked(verdict click.Verdict, took time.Duration) {
	m.clickTime.Observe(took.Seconds())
	switch verdict {
	case click.Accepted:
		m.accepted.Inc()
	case click.Duplicate:
		m.duplicate.Inc()
	case click.Expired:
		m.expired.Inc()
	case click.Paused:
		m.paused.Inc()
	case click.Prefetch:
		m.prefetch.Inc()
	case click.NotRecorded:
		m.lost.Inc()
	}
}

func (m *Metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// WatchClock exposes the recorder's clock offset.
func (m *Metrics) WatchClock(registry prometheus.Registerer, r *Recorder) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clickledger_gateway_clock_offset_seconds",
		Help: "How far the broker's clock is ahead of this machine's, at least.",
	}, func() float64 { return r.ClockOffset().Seconds() }))
}
