package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	clockSampleInterval = 5 * time.Second
	clockSampleTimeout  = 2 * time.Second
)

// brokerClock measures how far the broker's clock is ahead of ours. An ack
// holds the append time, but the client library does not hand it out, so every
// few seconds one acknowledged click is used: the newest record of its
// partition, asked for right after the ack, was appended between the moment the
// click was sent and the moment the answer came.
type brokerClock struct {
	nanos    atomic.Int64 // the offset
	nextTry  atomic.Int64 // Unix nanoseconds
	sampling atomic.Bool
}

func (b *brokerClock) offset() time.Duration { return time.Duration(b.nanos.Load()) }

// acked may start a measurement with the click at offset, which was sent at sent.
func (b *brokerClock) acked(p *Producer, partition int32, offset int64, sent time.Time) {
	now := time.Now()
	if now.UnixNano() < b.nextTry.Load() || !b.sampling.CompareAndSwap(false, true) {
		return
	}
	b.nextTry.Store(now.Add(clockSampleInterval).UnixNano())
	go func() {
		defer b.sampling.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), clockSampleTimeout)
		defer cancel()
		listed, err := kadm.NewClient(p.client).ListMaxTimestampOffsets(ctx, p.topic)
		received := time.Now()
		newest, ok := listed.Lookup(p.topic, partition)
		if err != nil || !ok || newest.Err != nil || newest.Offset < offset {
			return // the next sample will do
		}
		// Between the two: the middle is wrong by at most half their distance.
		middle := sent.Add(received.Sub(sent) / 2)
		b.nanos.Store(int64(time.UnixMilli(newest.Timestamp).Sub(middle)))
	}()
}
