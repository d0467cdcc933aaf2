package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	// bufferedRecordsMax is about three seconds of one gateway's peak. Beyond
	// it clicks are refused when they are gathered instead of queueing behind an
	// outage.
	bufferedRecordsMax = 50_000
	// produceRequestTimeout is how long a broker may wait for its replicas.
	produceRequestTimeout = 5 * time.Second
	// deliveryTimeoutMin is the least the client library takes.
	deliveryTimeoutMin = time.Second
)

// Producer puts clicks into the stream. It is safe for concurrent use.
type Producer struct {
	client     *kgo.Client
	gatherer   gatherer
	topic      string
	partitions int32
	timeout    time.Duration
	clock      brokerClock
}

// NewProducer makes a producer for the clicks topic of c. It does not wait for
// Kafka: see CheckTopic.
//
// It collects clicks for c.ProduceLinger. The default is measured: no linger at
// all costs the broker ten times the CPU per click and a far worse p99; 2 ms a
// third more than 5 ms, which add 2 ms to the median and take as much from the
// tail (before clicks were gathered here: see gatherer). Each gateway sends to each
// broker once in nine tenths of it or, of a long one, in 2 ms less, and what is sent
// is fetched by each follower, so it is worth more with several of them. It should
// be longer than an acknowledgement takes: a broker deals with the requests of
// one connection one after the other, and up to five would stand in a queue.
//
// Every record is acknowledged by all in-sync replicas and, within one run of
// this program, written once however often the client has to repeat it.
func NewProducer(c config.Config) (*Producer, error) {
	linger := handOver(c.ProduceLinger)
	client, err := kgo.NewClient(append(commonOptions(c),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(linger),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(bufferedRecordsMax),
		kgo.ProduceRequestTimeout(produceRequestTimeout),
		// What was never sent is given up when nobody waits for it any more.
		// What may have been sent stays and lands when Kafka is back: giving it
		// up would leave a gap in the sequence numbers.
		kgo.RecordDeliveryTimeout(max(c.ProduceTimeout, deliveryTimeoutMin)),
		// Ids are random: compressing a few dozen records saves little.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka producer for %v: %w", c.KafkaBrokers, err)
	}
	p := &Producer{client: client, topic: c.ClicksTopic(), partitions: c.Partitions, timeout: c.ProduceTimeout}
	p.gatherer = gatherer{keep: c.ProduceLinger - linger, give: p.give}
	return p, nil
}

// delivery is the fate of one record. It outlives a caller that stopped waiting.
type delivery struct {
	record kgo.Record
	err    error
	acked  time.Time
	done   chan struct{}
}

func (d *delivery) finish(_ *kgo.Record, err error) {
	d.err, d.acked = err, time.Now()
	close(d.done)
}

// Produce puts a click into the partition that its ad, impression and fan-out name,
// and waits until it is durable: at most the configured produce timeout, or
// until ctx ends.
//
// It returns where the click stands and when the broker appended it, by the
// broker's clock (as BrokerOffset knows it: exact to some tens of
// milliseconds). An error wraps click.ErrUnavailable when Kafka did not
// acknowledge in time. The click may land nevertheless; that is a copy the
// ingester drops, should the person click again.
func (p *Producer) Produce(ctx context.Context, r click.Routed) (click.Position, time.Time, error) {
	sent := time.Now()
	d, err := p.send(&r, sent)
	if err != nil {
		return click.Position{}, time.Time{}, err
	}
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case <-d.done:
	case <-timer.C:
		return click.Position{}, time.Time{}, fmt.Errorf("produce click: no ack within %v: %w", p.timeout, click.ErrUnavailable)
	case <-ctx.Done():
		return click.Position{}, time.Time{}, fmt.Errorf("produce click: %w", ctx.Err())
	}
	if d.err != nil {
		return click.Position{}, time.Time{}, fmt.Errorf("produce click: %w: %w", click.ErrUnavailable, d.err)
	}
	p.clock.acked(p, d.record.Partition, d.record.Offset, sent)
	position := click.Position{Partition: d.record.Partition, Offset: d.record.Offset}
	return position, d.acked.Add(p.clock.offset()), nil
}

// ProduceAll puts clicks into the stream in their order and waits, until ctx
// ends, for what became of each: nil when it is durable. As with Produce, one
// with an error may land nevertheless. It has no timeout of its own: a click
// that may be on its way is not given up and sent again beside itself.
func (p *Producer) ProduceAll(ctx context.Context, clicks []click.Routed) []error {
	faults := make([]error, len(clicks))
	deliveries := make([]*delivery, len(clicks))
	for i := range clicks {
		deliveries[i], faults[i] = p.send(&clicks[i], time.Now())
	}
	for i, d := range deliveries {
		if d == nil {
			continue
		}
		select {
		case <-d.done:
			if d.err != nil {
				faults[i] = fmt.Errorf("produce click: %w: %w", click.ErrUnavailable, d.err)
			}
		case <-ctx.Done():
			faults[i] = fmt.Errorf("produce click: %w", ctx.Err())
		}
	}
	return faults
}

// send has a click leave with the others of its time. What became of it is told by
// the delivery.
func (p *Producer) send(r *click.Routed, now time.Time) (*delivery, error) {
	value, err := encodeRecord(&r.Click)
	if err != nil {
		return nil, err
	}
	d := &delivery{done: make(chan struct{}), record: kgo.Record{
		Topic:     p.topic,
		Partition: click.Partition(r.AdID, r.Impression, r.FanOut, p.partitions),
		Value:     value,
		Timestamp: now,
	}}
	p.gatherer.add(d)
	return d, nil
}

// give hands a click to the client library.
func (p *Producer) give(d *delivery) {
	// Not the caller's context: a browser that hangs up must not take back a
	// click that is on its way.
	p.client.TryProduce(context.Background(), &d.record, d.finish)
}

// BrokerOffset is how far the broker's clock is ahead of this machine's; 0
// until the first measurement, which follows the first acknowledged click.
func (p *Producer) BrokerOffset() time.Duration { return p.clock.offset() }

// CheckTopic reports whether the clicks topic exists with the configured
// partitions. The error wraps click.ErrUnavailable when no broker answers and
// click.ErrNotFound when there is no such topic; else it is a plain sentence
// that says what to set.
func (p *Producer) CheckTopic(ctx context.Context) error {
	return checkTopic(ctx, p.client, p.topic, p.partitions)
}

// Ping reports whether a broker answers. The error wraps click.ErrUnavailable.
func (p *Producer) Ping(ctx context.Context) error {
	if err := p.client.Ping(ctx); err != nil {
		return fmt.Errorf("ping kafka: %w: %w", click.ErrUnavailable, err)
	}
	return nil
}

// Close sends what is buffered, until ctx ends, and closes the connections.
func (p *Producer) Close(ctx context.Context) error {
	defer p.client.Close()
	p.gatherer.giveAll(true)
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush producer: %w", err)
	}
	return nil
}
