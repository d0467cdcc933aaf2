package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"clickledger/internal/click"
)

const (
	// clockOffsetMax is how far this machine's clock may be off the broker's.
	clockOffsetMax = 2 * time.Second
	// clockReadingLife ends a reading: a gateway that is not ready gets no
	// clicks, so without an end it could never find out that it is right again.
	clockReadingLife = time.Minute
)

// producer appends clicks to the stream and waits for the ack. Its error wraps
// click.ErrUnavailable when Kafka does not answer.
type producer interface {
	Produce(ctx context.Context, r click.Routed) (click.Position, time.Time, error)
}

// journal keeps what the producer could not deliver. After an error the click
// is not recorded.
type journal interface {
	Append(ctx context.Context, r click.Routed) error
}

// Recorder is the way of one click, whichever way it came in: verify, look the
// ad up, ask the recent clicks, produce, or else put into the journal. It is
// safe for concurrent use.
type Recorder struct {
	keys     *click.Keyring
	ads      *Ads
	producer producer
	journal  journal
	breaker  *Breaker
	filtered *FilteredReporter
	metrics  *Metrics
	now      func() time.Time

	recent   *recentClicks
	instance uint64
	sequence atomic.Uint64

	clockOffset atomic.Int64 // nanoseconds, broker minus this machine
	clockReadAt atomic.Int64 // Unix nanoseconds; 0: never
}

// NewRecorder makes a recorder with a random instance number: arrival ids of
// two gateways, or of one before and after a restart, never meet.
func NewRecorder(keys *click.Keyring, ads *Ads, p producer, j journal, b *Breaker, filtered *FilteredReporter, metrics *Metrics) (*Recorder, error) {
	if keys == nil || ads == nil || p == nil || j == nil || b == nil || filtered == nil || metrics == nil {
		return nil, errors.New("a recorder needs keys, ads, a producer, a journal, a breaker, a reporter and metrics")
	}
	var instance [8]byte
	if _, err := rand.Read(instance[:]); err != nil {
		return nil, fmt.Errorf("draw an instance number: %w", err)
	}
	return &Recorder{
		keys: keys, ads: ads, producer: p, journal: j, breaker: b, filtered: filtered, metrics: metrics, now: time.Now,
		recent: new(recentClicks), instance: binary.BigEndian.Uint64(instance[:]),
	}, nil
}

// recorded says what became of a click that is to be redirected.
type recorded struct {
	verdict   click.Verdict
	ad        *adEntry
	clickedAt time.Time // the event time that counts; zero when the click does not count
}

// record judges and records one click. Its errors are those of
// click.Keyring.Verify but for ErrTokenExpired, click.ErrNotFound for an
// unknown ad, and errors that wrap click.ErrUnavailable when the ad could not
// be looked up. A click that could be made durable nowhere is NotRecorded, and
// the error is why; the person is redirected all the same.
func (r *Recorder) record(ctx context.Context, token string, prefetch bool) (recorded, error) {
	arrived := r.now()
	t, err := r.keys.Verify(token, arrived)
	expired := errors.Is(err, click.ErrTokenExpired)
	if err != nil && !expired {
		return recorded{}, err
	}
	ad, err := r.ads.entry(ctx, t.AdID, arrived)
	if err != nil {
		return recorded{}, err
	}
	switch {
	case expired:
		return r.notCounted(click.Expired, ad, arrived, time.Time{}), nil
	case ad.ad.Status == click.AdPaused:
		return r.notCounted(click.Paused, ad, arrived, time.Time{}), nil
	case prefetch:
		return r.notCounted(click.Prefetch, ad, arrived, time.Time{}), nil
	}
	clickedAt, repeated := r.recent.meet(t.Impression, arrived)
	if repeated {
		return r.notCounted(click.Duplicate, ad, arrived, clickedAt), nil
	}
	err = r.keep(ctx, click.Routed{FanOut: t.FanOut, Click: click.Click{
		AdID:         t.AdID,
		AdvertiserID: ad.ad.AdvertiserID,
		Impression:   t.Impression,
		ClickedAt:    clickedAt,
		Arrival:      click.NewArrivalID(r.instance, r.sequence.Add(1)),
	}})
	if err != nil {
		return recorded{verdict: click.NotRecorded, ad: ad}, err
	}
	r.recent.acked(t.Impression, clickedAt)
	return recorded{verdict: click.Accepted, ad: ad, clickedAt: clickedAt}, nil
}

// keep makes a click durable: in Kafka, or in the journal when Kafka does not
// take it in time. Then it may be in both: copies, with the same arrival id.
// Two clicks of one impression that arrive at the same instant are both kept,
// with the same event time: the ingester counts one.
func (r *Recorder) keep(ctx context.Context, c click.Routed) error {
	// Not the request's context: a browser that has gone has clicked all the
	// same, and its record may be on its way. Both have bounds of their own.
	ctx = context.WithoutCancel(ctx)
	if r.breaker.Closed() {
		sent := r.now()
		_, appended, err := r.producer.Produce(ctx, c)
		if err == nil {
			r.breaker.acked()
			r.readClock(sent, appended, r.now())
			return nil
		}
		if !errors.Is(err, click.ErrUnavailable) {
			return err // it says "produce click" itself
		}
		r.breaker.missed(err)
	}
	if err := r.journal.Append(ctx, c); err != nil {
		return fmt.Errorf("neither Kafka nor the journal took the click: %w", err)
	}
	r.metrics.journalled.Inc()
	return nil
}

// readClock compares clocks: a record is appended after it was sent and before
// its ack came. An append time outside of that is the least the clocks differ.
func (r *Recorder) readClock(sent, appended, acked time.Time) {
	offset := time.Duration(0)
	switch {
	case appended.Before(sent):
		offset = appended.Sub(sent)
	case appended.After(acked):
		offset = appended.Sub(acked)
	}
	r.clockOffset.Store(int64(offset))
	r.clockReadAt.Store(acked.UnixNano())
}

// ClockOffset is how far the broker's clock is ahead of this machine's, as far
// as the last acks prove it.
func (r *Recorder) ClockOffset() time.Duration { return time.Duration(r.clockOffset.Load()) }

// CheckClock answers an error while the last reading, if it is recent, is too
// far off: such a gateway would date its clicks wrongly.
func (r *Recorder) CheckClock(context.Context) error {
	read := r.clockReadAt.Load()
	if read == 0 || r.now().UnixNano()-read > int64(clockReadingLife) {
		return nil
	}
	if offset := r.ClockOffset(); offset.Abs() > clockOffsetMax {
		return fmt.Errorf("this machine's clock is %v off the broker's, at most %v is allowed: set it right",
			offset.Abs().Round(time.Millisecond), clockOffsetMax)
	}
	return nil
}
