package server

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"clickledger/internal/click"
)

// outageLog writes one line when clicks begin to fail and one when they are
// recorded again, however many fail between.
type outageLog struct {
	log        *slog.Logger
	begun, end string // the lines
	on         atomic.Bool
	clicks     atomic.Int64
}

// outages tells of both kinds.
type outages struct{ unanswered, lost *outageLog }

func newOutages(log *slog.Logger) outages {
	return outages{unanswered: newUnansweredLog(log), lost: newLostLog(log)}
}

// saw takes note of what became of a click.
func (o outages) saw(verdict click.Verdict, err error) {
	switch {
	case verdict == click.NotRecorded:
		o.lost.failed(err)
	case errors.Is(err, click.ErrUnavailable):
		o.unanswered.failed(err)
	case verdict == click.Accepted:
		o.lost.ended()
		o.unanswered.ended()
	}
}

// newUnansweredLog is of clicks that are answered 503.
func newUnansweredLog(log *slog.Logger) *outageLog {
	return &outageLog{log: log, begun: "clicks cannot be answered: 503 until they can", end: "clicks are answered again"}
}

// newLostLog is of clicks that are redirected and not recorded.
func newLostLog(log *slog.Logger) *outageLog {
	return &outageLog{log: log, begun: "CLICKS ARE LOST: redirected, not recorded", end: "clicks are recorded again"}
}

func (o *outageLog) failed(err error) {
	o.clicks.Add(1)
	if !o.on.Load() && o.on.CompareAndSwap(false, true) {
		o.log.Error(o.begun, "error", err)
	}
}

func (o *outageLog) ended() {
	if o.on.Load() && o.on.CompareAndSwap(true, false) {
		o.log.Info(o.end, "clicks", o.clicks.Swap(0))
	}
}
