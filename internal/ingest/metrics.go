package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// step names one step of a batch in logs and metrics.
type step string

const (
	stepReady   step = "ready"
	stepJoin    step = "join"
	stepAsk     step = "ask"
	stepLookUp  step = "look_up"
	stepInsert  step = "insert"
	stepBury    step = "bury"
	stepMark    step = "mark"
	stepDropped step = "note_dropped"
	stepCommit  step = "commit"
)

type metrics struct {
	batches, stored, dead, rejoins prometheus.Counter
	unreported                     prometheus.Counter
	dropped, retries               *prometheus.CounterVec
	steps                          *prometheus.HistogramVec
	lag                            *prometheus.GaugeVec
	lastCommit                     prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	const prefix = "clickledger_ingester_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	}
	m := &metrics{
		batches:    counter("batches_total", "Batches committed."),
		stored:     counter("clicks_stored_total", "Clicks stored; one that is stored again after a crash counts again."),
		dead:       counter("dead_letters_total", "Records set aside in the dead-letter topic."),
		rejoins:    counter("rejoins_total", "Times the group was left because of a fault."),
		unreported: counter("dropped_unreported_total", "Clicks not counted that could not be stored as such either: they are missing in filtered."),
		dropped:    counters("clicks_dropped_total", "Clicks not counted: repeat (within a batch) or seen (counted before).", "reason"),
		retries:    counters("retries_total", "Failed tries of a step that is tried again.", "step"),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "step_seconds", Help: "Duration of a batch's steps, retries included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"step"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "lag_records", Help: "Records not yet committed, by partition held.",
		}, []string{"partition"}),
		lastCommit: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "last_commit_timestamp_seconds", Help: "When a batch was last committed.",
		}),
	}
	registry.MustRegister(m.batches, m.stored, m.dead, m.rejoins, m.unreported, m.dropped, m.retries, m.steps, m.lag, m.lastCommit)
	return m
}

// time measures a step until the returned function is called.
func (m *metrics) time(s step) func() {
	began := time.Now()
	return func() { m.steps.WithLabelValues(string(s)).Observe(time.Since(began).Seconds()) }
}

func (m *metrics) batchDone(stored, dead int) {
	m.batches.Inc()
	m.stored.Add(float64(stored))
	m.dead.Add(float64(dead))
	m.lastCommit.SetToCurrentTime()
}

func (m *metrics) setLag(partition int32, records int64) {
	m.lag.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(records))
}
