package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
)

const (
	schedulePartitions = 3
	scheduleMax        = 90 * time.Second
	sleepMax           = time.Second
	pollInterval       = 10 * time.Millisecond
	// rebalanceMax: the broker in memory takes a member that leaves while it waits
	// to sync for one that has yet to join, and waits for it for so long.
	rebalanceMax = 10 * time.Second
)

// schedule is one random run: a stream, two ingesters at a time that meet
// mishaps, and an oracle. The seed fixes what is sent, what each life meets and
// how its batches are cut; the threads' timing it cannot fix.
type schedule struct {
	seed    uint64
	random  *rand.Rand // of what is sent and when
	config  config.Config
	grounds grounds
	raw     *kgo.Client
	admin   *kafka.Admin
	sent    []sentRecord

	named        bool // ingesters keep their places in the group
	mishapChance float64
	mishapsLeft  atomic.Int64
	commits      atomic.Int64
	background   sync.WaitGroup // of what comes late
	rebuilds     atomic.Bool    // one runs

	mu     sync.Mutex
	meets  map[step]map[mishap]int
	faults []string
}

// sentRecord is a record of the stream as the oracle knows it.
type sentRecord struct {
	click.Placed
	value []byte // of one that is no click
}

// runSchedule returns what went wrong, and which mishaps were met.
func runSchedule(ctx context.Context, seed uint64, on grounds) (faults []string, meets map[step]map[mishap]int, err error) {
	ctx, cancel := context.WithTimeout(ctx, scheduleMax)
	defer cancel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, nil, err
	}
	defer cluster.Close()
	s := &schedule{
		seed: seed, random: rand.New(rand.NewPCG(seed, 0)), grounds: on, meets: map[step]map[mishap]int{},
		config: config.Config{
			Namespace: fmt.Sprintf("crash_%d", seed), KafkaBrokers: cluster.ListenAddrs(), KafkaReplicas: 1, Partitions: schedulePartitions,
			ProduceTimeout: 20 * time.Second,
		},
	}
	s.mishapChance = 0.05 + 0.25*s.random.Float64()
	s.named = s.random.IntN(2) == 0
	s.mishapsLeft.Store(3 + s.random.Int64N(12))
	if x, ok := on.seen.(*index); ok {
		x.violate = s.fault
	}
	if s.raw, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		return nil, nil, err
	}
	defer s.raw.Close()
	if s.admin, err = kafka.NewAdmin(s.config); err != nil {
		return nil, nil, err
	}
	defer s.admin.Close()
	if err := s.admin.Setup(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.play(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.judge(ctx); err != nil {
		return nil, nil, err
	}
	return s.faults, s.meets, nil
}

// play sends while two ingesters live and die, and ends when all is committed
// and whatever was late has come.
func (s *schedule) play(ctx context.Context) error {
	producer, err := kafka.NewProducer(s.config)
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close(context.Background()) }()
	plan := s.plan()
	early := s.random.IntN(len(plan))
	if err := s.send(ctx, producer, plan[:early]); err != nil {
		return err
	}

	working, stop := context.WithCancel(ctx)
	defer stop()
	var workers sync.WaitGroup
	for worker := range uint64(2) {
		workers.Go(func() { s.live(working, worker) })
	}
	if err := s.send(ctx, producer, plan[early:]); err != nil {
		return err
	}
	if err := s.drained(ctx); err != nil {
		return err
	}
	stop()
	workers.Wait() // zombies among them wake, and do their worst
	s.background.Wait()
	return s.drained(ctx) // commits were not moved back
}

// live is one ingester after the other.
func (s *schedule) live(ctx context.Context, worker uint64) {
	for n := uint64(1); ctx.Err() == nil; n++ {
		running, stop := context.WithCancel(ctx)
		l := &life{schedule: s, random: rand.New(rand.NewPCG(s.seed, worker<<32|n)), stop: stop}
		if s.named {
			l.name = fmt.Sprintf("ingester-%d", worker)
		}
		ingester, err := New(l.parts())
		if err != nil {
			s.fault(err.Error())
			return
		}
		ingester.pace = pace{stall: 10 * time.Second, retryMin: 5 * time.Millisecond, retryMax: 40 * time.Millisecond}
		if err := ingester.Run(running); err != nil && !errors.Is(err, errCrash) {
			s.fault("an ingester ended with " + err.Error())
		}
		stop()
	}
}

// plan is what is sent: impressions with clicks near and far, at other minutes
// too; some forgotten by the index, some refused by the store, some no clicks
// at all.
func (s *schedule) plan() []sentRecord {
	now := time.Now()
	advertiser := int64(s.seed) + 1
	var plan []sentRecord
	for range 8 + s.random.IntN(16) {
		issued := now.Add(-time.Duration(s.random.IntN(3600)) * time.Second)
		if s.random.IntN(8) == 0 {
			issued = now.Add(-validity - 6*time.Hour - time.Duration(s.random.IntN(7200)-3600)*time.Second)
		}
		id, err := click.NewImpressionID(issued, randomBytes{s.random})
		if err != nil {
			panic(err) // it reads from a generator
		}
		ad := int64(s.random.IntN(6)) + 1
		for copies := 1 + s.random.IntN(4); copies > 0; copies-- {
			at := issued.Add(time.Duration(s.random.IntN(5*60_000)) * time.Millisecond).UTC().Truncate(time.Millisecond)
			if refusal := s.random.IntN(12) == 0; refusal != (at.UnixMilli()%1000 == refusedMillisecond) {
				at = at.Truncate(time.Second).Add(time.Millisecond)
				if refusal {
					at = at.Add((refusedMillisecond - 1) * time.Millisecond)
				}
			}
			r := sentRecord{Placed: click.Placed{Click: click.Click{
				AdID: ad, AdvertiserID: advertiser, Impression: id, ClickedAt: at,
				Arrival: click.NewArrivalID(s.seed, s.random.Uint64()),
			}}}
			plan = append(plan, r)
			if s.random.IntN(6) == 0 {
				plan = append(plan, r) // the same request once more, from a journal
			}
		}
	}
	for range s.random.IntN(4) {
		plan = append(plan, sentRecord{value: fmt.Appendf(nil, "no click %d", s.random.Uint64())})
	}
	s.random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}

type randomBytes struct{ *rand.Rand }

func (r randomBytes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

func (s *schedule) send(ctx context.Context, producer *kafka.Producer, plan []sentRecord) error {
	for _, r := range plan {
		if r.value != nil {
			record := &kgo.Record{Topic: s.config.ClicksTopic(), Partition: s.random.Int32N(schedulePartitions), Value: r.value}
			if err := s.raw.ProduceSync(ctx, record).FirstErr(); err != nil {
				return fmt.Errorf("send: %w", err)
			}
			r.Position = click.Position{Partition: record.Partition, Offset: record.Offset}
		} else {
			position, _, err := producer.Produce(ctx, click.Routed{Click: r.Click, FanOut: 3})
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			r.Position = position
		}
		s.sent = append(s.sent, r)
		if s.random.IntN(4) == 0 {
			pause(ctx, time.Duration(s.random.IntN(25))*time.Millisecond)
		}
	}
	return nil
}

// drained waits until everything sent is committed.
func (s *schedule) drained(ctx context.Context) error {
	var last []kafka.PartitionLag // that was answered
	var answered time.Time
	var refused error
	for ctx.Err() == nil {
		lags, err := s.admin.Lag(ctx)
		if err == nil {
			if !slices.ContainsFunc(lags, func(lag kafka.PartitionLag) bool { return lag.Committed < lag.End }) {
				return nil
			}
			last, answered = lags, time.Now()
		} else if ctx.Err() == nil {
			refused = err
		}
		pause(ctx, pollInterval)
	}
	return fmt.Errorf("not all is committed: %+v, answered %s ago: %w", last, time.Since(answered), errors.Join(ctx.Err(), refused))
}

// await waits for a condition, for limit at most.
func (s *schedule) await(limit time.Duration, is func() bool) {
	for deadline := time.Now().Add(limit); !is() && time.Now().Before(deadline); {
		time.Sleep(pollInterval)
	}
}

// later does something in a while, whatever has become of who wanted it.
func (s *schedule) later(delay time.Duration, do func()) {
	s.background.Go(func() {
		time.Sleep(delay)
		do()
	})
}

// evict takes the member that holds a partition out of the group, as the broker
// does with one that it has not heard of for a session's time.
func (s *schedule) evict(partition int32) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	groups, err := kadm.NewClient(s.raw).DescribeGroups(ctx, s.config.IngesterGroup())
	if err != nil {
		s.fault("evict: " + err.Error())
		return
	}
	for _, member := range groups[s.config.IngesterGroup()].Members {
		assigned, ok := member.Assigned.AsConsumer()
		if !ok || !slices.ContainsFunc(assigned.Topics, func(t kmsg.ConsumerMemberAssignmentTopic) bool {
			return slices.Contains(t.Partitions, partition)
		}) {
			continue
		}
		leaving := kmsg.NewLeaveGroupRequestMember()
		leaving.MemberID = member.MemberID
		request := kmsg.NewPtrLeaveGroupRequest()
		request.Group, request.Members = s.config.IngesterGroup(), []kmsg.LeaveGroupRequestMember{leaving}
		if _, err := request.RequestWith(ctx, s.raw); err != nil {
			s.fault("evict: " + err.Error())
		}
	}
}

// rebuild has the index rebuilt in the background, as the workflow does it.
func (s *schedule) rebuild(context.Context) error {
	if s.rebuilds.Swap(true) {
		return nil // one runs
	}
	s.background.Go(func() {
		defer s.rebuilds.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), scheduleMax)
		defer cancel()
		for n := 0; ctx.Err() == nil; n++ {
			done, err := s.rebuildOnce(ctx, fmt.Sprintf("%d/%d/%d", s.seed, n, time.Now().UnixNano()))
			if err != nil {
				s.fault("rebuild: " + err.Error())
			}
			if done || err != nil {
				return
			}
		}
	})
	return nil
}

func (s *schedule) rebuildOnce(ctx context.Context, nonce string) (bool, error) {
	runID, err := s.grounds.seen.BeginRebuild(ctx, nonce, nil)
	if err != nil {
		return false, err
	}
	err = s.grounds.store.StreamImpressions(ctx, click.SeenSince(validity, time.Now()), func(ids []click.ImpressionID) error {
		return s.grounds.seen.Mark(ctx, ids)
	})
	if err != nil {
		return false, err
	}
	return s.grounds.seen.FinishRebuild(ctx, nonce, runID)
}

func (s *schedule) met(at step, m mishap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meets[at] == nil {
		s.meets[at] = map[mishap]int{}
	}
	s.meets[at][m]++
}

func (s *schedule) fault(sentence string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, sentence)
}
