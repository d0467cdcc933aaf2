package server

import (
	"log/slog"
	"sync/atomic"
)

// outageLog writes one line when clicks begin to fail and one when they are
// recorded again, however many fail between.
type outageLog struct {
	log  *slog.Logger
	on   atomic.Bool
	lost atomic.Int64
}

func (o *outageLog) failed(err error) {
	o.lost.Add(1)
	if !o.on.Load() && o.on.CompareAndSwap(false, true) {
		o.log.Warn("clicks cannot be recorded: answered 503 until they can", "error", err)
	}
}

func (o *outageLog) ended() {
	if o.on.Load() && o.on.CompareAndSwap(true, false) {
		o.log.Info("clicks are recorded again", "answered_503", o.lost.Swap(0))
	}
}
