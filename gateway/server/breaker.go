package server

import (
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// missesMax is how many clicks in a row may miss their ack before the next
// ones do not wait for theirs.
const missesMax = 5

// Breaker spares clicks the wait for a Kafka that does not answer: they go to
// the journal at once. It opens by misses and is closed by who drains the
// journal, when it has caught up and Kafka takes clicks in time. It is safe for
// concurrent use.
type Breaker struct {
	log    *slog.Logger
	misses atomic.Int32
	open   atomic.Bool
	held   atomic.Bool
}

// NewBreaker makes an open one: clicks go to the journal until Close is called,
// when it is known that Kafka's topic is as it should be.
func NewBreaker(log *slog.Logger, registry prometheus.Registerer) *Breaker {
	b := &Breaker{log: log}
	b.open.Store(true)
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clickledger_gateway_breaker_open",
		Help: "1 while clicks go to the journal without waiting for Kafka.",
	}, func() float64 {
		if b.Closed() {
			return 0
		}
		return 1
	}))
	return b
}

// Closed reports whether Kafka is to be tried.
func (b *Breaker) Closed() bool { return !b.open.Load() && !b.held.Load() }

// Hold keeps it open for good, whatever Close says.
func (b *Breaker) Hold() { b.held.Store(true) }

// Close lets clicks try Kafka again.
func (b *Breaker) Close() {
	b.misses.Store(0)
	if b.open.CompareAndSwap(true, false) {
		b.log.Info("kafka takes clicks again")
	}
}

func (b *Breaker) acked() {
	if b.misses.Load() != 0 { // the usual case writes nothing that all processors share
		b.misses.Store(0)
	}
}

func (b *Breaker) missed(err error) {
	if b.misses.Add(1) >= missesMax && b.open.CompareAndSwap(false, true) {
		b.log.Warn("kafka does not take clicks in time: they go to the journal until it does", "error", err)
	}
}
