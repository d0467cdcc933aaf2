package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"clickledger/internal/click"
	"clickledger/internal/config"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

const (
	// newPartitionsAge is how soon partitions that were added are found.
	newPartitionsAge = 5 * time.Second
	// sessionTimeout is how long the partitions of an ingester that was killed
	// stay without one.
	sessionTimeout    = 10 * time.Second
	heartbeatInterval = 2 * time.Second
	// rebalanceTimeout must be longer than any batch: a batch blocks rebalances.
	rebalanceTimeout = 2 * time.Minute
	leaveTimeout     = 5 * time.Second
	// endingTimeout is how long the library may take to end its part in the group.
	endingTimeout = 200 * time.Millisecond

	// The broker answers a fetch when it has this much, or after the wait: a
	// busy stream is fetched a few times a second instead of hundreds.
	fetchBytesMin     = 256 << 10
	fetchWait         = 200 * time.Millisecond
	fetchBytesMax     = 16 << 20
	partitionBytesMax = 4 << 20

	// What one batch holds at most.
	batchRecordsMax = 50_000
	batchBytesMax   = 16 << 20
)

// Consumer is one member of the ingester's group. It hands out one batch at a
// time: Gather, then Commit if all of it was dealt with, then Release. From
// Gather to Release no partition is taken away from it. It is not safe for
// concurrent use, except Progress.
//
// A batch that was not committed is only read again by a new Consumer: after a
// failure, Leave and make another.
type Consumer struct {
	client *kgo.Client
	config config.Config
	log    *slog.Logger
	member Membership
	owned  ownedPartitions
	held   []*kgo.Record // the batch, as it came
}

// Membership is how a consumer takes part in its group.
type Membership struct {
	// Name is the same after a restart and another for each member beside it. A
	// member of a name that comes back takes its own place again at once. Without
	// one, the group waits until it is sure that the former self is gone.
	Name string
	// Only tests, which are in more of a hurry, have other than the usual.
	Heartbeat       time.Duration
	Rebalance       time.Duration // how long the group waits for a member to join again; longer than any batch
	FetchWait       time.Duration // of the broker, for more to come
	BatchRecordsMax int
}

// UsualMembership is that of a running ingester.
func UsualMembership(name string) Membership {
	return Membership{
		Name: name, Heartbeat: heartbeatInterval, Rebalance: rebalanceTimeout, FetchWait: fetchWait, BatchRecordsMax: batchRecordsMax,
	}
}

// NewConsumer begins to join the group; it does not wait for Kafka. Partitions
// without a commit are read from their first record.
func NewConsumer(c config.Config, log *slog.Logger, m Membership) (*Consumer, error) {
	consumer := &Consumer{config: c, log: log, member: m}
	options := append(commonOptions(c),
		kgo.ConsumerGroup(c.IngesterGroup()),
		kgo.ConsumeTopics(c.ClicksTopic()),
		kgo.MetadataMaxAge(newPartitionsAge),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(m.Heartbeat),
		kgo.RebalanceTimeout(m.Rebalance),
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(consumer.owned.add),
		kgo.OnPartitionsRevoked(consumer.owned.remove),
		kgo.OnPartitionsLost(consumer.owned.remove),
		kgo.FetchMinBytes(fetchBytesMin),
		kgo.FetchMaxWait(m.FetchWait),
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(partitionBytesMax),
		kgo.RequiredAcks(kgo.AllISRAcks()), // of dead letters
	)
	if m.Name != "" {
		options = append(options, kgo.InstanceID(m.Name))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("make kafka consumer for %v: %w", c.KafkaBrokers, err)
	}
	consumer.client = client
	return consumer, nil
}

// Gather waits for records, goes on collecting them until the time until, or
// until the batch is full, and returns what they hold in the order of each
// partition: clicks, and records that can never be one. It returns ctx.Err()
// when ctx ends before anything came.
func (c *Consumer) Gather(ctx context.Context, until time.Time) ([]click.Placed, []click.DeadLetter, error) {
	if err := c.poll(ctx); err != nil {
		return nil, nil, err
	}
	bytes := 0
	for counted := 0; len(c.held) < c.member.BatchRecordsMax && time.Now().Before(until); {
		for ; counted < len(c.held); counted++ {
			bytes += len(c.held[counted].Value)
		}
		if bytes >= batchBytesMax {
			break
		}
		if err := c.pollUntil(ctx, until); err != nil {
			return nil, nil, err
		}
		if ctx.Err() != nil {
			break // asked to stop: what is held is a batch
		}
	}
	clicks, dead := c.decode()
	return clicks, dead, nil //nolint:nilerr // a poll that ran out of time is a batch's normal end
}

// poll adds to the batch what has come; it waits until there is something.
func (c *Consumer) poll(ctx context.Context) error {
	before := len(c.held)
	for len(c.held) == before {
		if before == 0 {
			// A poll that brought nothing but faults blocks rebalances too: an idle
			// stream would hold up the group until the rebalance times out.
			c.client.AllowRebalance()
		}
		fetches := c.client.PollRecords(ctx, c.member.BatchRecordsMax-before)
		c.held = append(c.held, fetches.Records()...)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.fetchFault(fetches); err != nil {
			return err
		}
	}
	return nil
}

// pollUntil is poll, but finding nothing in time is no error.
func (c *Consumer) pollUntil(ctx context.Context, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if err := c.poll(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// fetchFault is the first fault among fetches that reading on will not mend.
func (c *Consumer) fetchFault(fetches kgo.Fetches) error {
	for _, fault := range fetches.Errors() {
		var loss *kgo.ErrDataLoss
		if errors.As(fault.Err, &loss) {
			// Kafka dropped records before they were read. Reading goes on with
			// what there is; nothing but saying so can be done here.
			c.log.Error("the stream has lost records", "partition", fault.Partition, "error", fault.Err)
			continue
		}
		return fmt.Errorf("read partition %d of %s: %w", fault.Partition, c.config.ClicksTopic(), fault.Err)
	}
	return nil
}

func (c *Consumer) decode() (clicks []click.Placed, dead []click.DeadLetter) {
	clicks = make([]click.Placed, 0, len(c.held))
	var scratch recordv1.Click
	for _, record := range c.held {
		position := click.Position{Partition: record.Partition, Offset: record.Offset}
		decoded, err := decodeRecord(record.Value, &scratch)
		if err != nil {
			dead = append(dead, click.DeadLetter{Position: position, Reason: err.Error()})
			continue
		}
		clicks = append(clicks, click.Placed{Click: decoded, Position: position})
	}
	return clicks, dead
}

// Commit tells Kafka that exactly the batch, and all before it, is dealt with.
// Call it last: what is committed is never read again.
func (c *Consumer) Commit(ctx context.Context) error {
	last := map[int32]*kgo.Record{}
	for _, record := range c.held {
		last[record.Partition] = record
	}
	ends := make([]*kgo.Record, 0, len(last))
	for _, record := range last {
		ends = append(ends, record)
	}
	if err := c.client.CommitRecords(ctx, ends...); err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	return nil
}

// Release ends the batch and lets partitions be taken away and given.
func (c *Consumer) Release() {
	c.held = nil
	c.client.AllowRebalance()
}

// Leave gives up the batch, leaves the group so that others take over at once,
// and closes the connections. It waits some seconds at most, then it does so
// behind.
func (c *Consumer) Leave() {
	c.Release()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		// First the library ends its part; told that it is no member, it would join anew.
		ending, cancel := context.WithTimeout(context.Background(), endingTimeout)
		defer cancel()
		_ = c.client.LeaveGroupContext(ending)
		c.signOff()
		c.client.Close()
	}()
	select {
	case <-closed:
	case <-time.After(leaveTimeout):
		c.log.Warn("leaving the group takes long; not waiting for it")
	}
}

// signOff tells the group that this member is gone. The library does not for one
// with a name, and for one that is joining only once all others have joined. By
// the member's id and not by its name, which may be its successor's by now.
func (c *Consumer) signOff() {
	id, _ := c.client.GroupMetadata()
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = id
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group, request.Members = c.config.IngesterGroup(), []kmsg.LeaveGroupRequestMember{member}
	if _, err := request.RequestWith(ctx, c.client); err != nil {
		c.log.Warn("the group was not told that this ingester leaves", "error", err)
	}
}

// Check reports whether the clicks topic is there with the configured
// partitions, and its id. Its errors are those of Producer.CheckTopic, but that
// fewer partitions are none: who reads them drains them, so that setup can raise
// the topic, and finds the new ones by itself.
func (c *Consumer) Check(ctx context.Context) (topicID string, err error) {
	topicID, err = lookAtTopic(ctx, c.client, c.config.ClicksTopic(), c.config.Partitions)
	if errors.Is(err, click.ErrFewerPartitions) {
		return topicID, nil
	}
	return topicID, err
}
