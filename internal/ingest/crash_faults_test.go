package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
	"clickledger/internal/kafka"
)

// mishap is what befalls one call of one step.
type mishap string

const (
	sound       mishap = "sound"
	dieBefore   mishap = "die before"
	dieAfter    mishap = "die after"
	notDone     mishap = "not done"    // and said so
	lostAck     mishap = "lost ack"    // done, and said it was not
	halfDone    mishap = "half done"   // and said it was not
	doneLate    mishap = "done late"   // said it was not, and done later
	sleepBefore mishap = "zombie"      // loses its session and wakes when others have worked
	sleepAfter  mishap = "zombie then" // the same, once it has done the step
	wipeBefore  mishap = "index wiped" // before the step
	wipeAfter   mishap = "wiped then"  // after it
	stopAsked   mishap = "stop asked"  // the program is told to stop in the middle of the batch
)

// mishaps are those that each step can meet.
var mishaps = map[step][]mishap{
	stepAsk:     {dieBefore, dieAfter, notDone, sleepBefore, sleepAfter, wipeBefore, wipeAfter, stopAsked},
	stepLookUp:  {dieBefore, dieAfter, notDone, sleepBefore, sleepAfter},
	stepInsert:  {dieBefore, dieAfter, notDone, lostAck, halfDone, doneLate, sleepBefore, sleepAfter, wipeBefore, wipeAfter},
	stepBury:    {dieBefore, dieAfter, notDone, lostAck, sleepBefore, sleepAfter},
	stepMark:    {dieBefore, dieAfter, notDone, lostAck, halfDone, doneLate, sleepBefore, sleepAfter, wipeBefore, wipeAfter, stopAsked},
	stepDropped: {dieBefore, dieAfter, notDone, lostAck, sleepBefore, sleepAfter},
	stepCommit:  {dieBefore, dieAfter, notDone, lostAck, sleepBefore, sleepAfter, wipeBefore},
}

var errAway = fmt.Errorf("%w: as the schedule wants it", click.ErrUnavailable)

// life is one ingester from its start to its death. It is not a process, but
// whatever it has left undone stays so, and a silent death does not leave the
// group: the broker has to find out.
type life struct {
	*schedule
	random    *rand.Rand // of this life alone, used by its batches one after the other
	stop      func()
	name      string // in the group; none: another each time
	partition int32  // one that the batch in hand is of
	silent    bool
}

// next is what befalls this call; after the schedule's share of them, nothing.
func (l *life) next(s step) mishap {
	if l.random.Float64() > l.mishapChance || l.mishapsLeft.Add(-1) < 0 {
		return sound
	}
	all := mishaps[s]
	m := all[l.random.IntN(len(all))]
	l.met(s, m)
	return m
}

// around does a step, or what its mishap makes of it. half does the first half.
func (l *life) around(ctx context.Context, s step, do, half func(context.Context) error) error {
	switch m := l.next(s); m {
	case sound:
		return do(ctx)
	case dieBefore:
		return l.die()
	case dieAfter:
		_ = do(ctx) // nobody lives to hear of it
		return l.die()
	case notDone:
		return errAway
	case lostAck:
		_ = do(ctx)
		return errAway
	case halfDone:
		_ = half(ctx)
		return errAway
	case doneLate:
		l.later(time.Duration(l.random.IntN(300))*time.Millisecond, func() { _ = do(context.Background()) })
		return errAway
	case sleepBefore:
		l.sleep()
		return do(ctx)
	case sleepAfter:
		err := do(ctx)
		l.sleep()
		return err
	case wipeBefore:
		return errors.Join(l.grounds.seen.Drop(ctx), do(ctx))
	case wipeAfter:
		return errors.Join(do(ctx), l.grounds.seen.Drop(ctx))
	case stopAsked:
		l.stop()
		return do(ctx)
	default:
		return fmt.Errorf("%w: no such mishap: %s", ErrFatal, m)
	}
}

func (l *life) die() error {
	l.silent = l.random.IntN(2) == 0
	return errCrash
}

// sleep is the sleep of a process that was stopped: it loses its session, the
// others get its partitions, and it goes on as if nothing had been.
func (l *life) sleep() {
	enough := l.commits.Load() + 1 + l.random.Int64N(3)
	l.evict(l.partition)
	l.await(sleepMax, func() bool { return l.commits.Load() >= enough })
}

// firstHalf is done although the whole is said to have failed.
func firstHalf[T any](all []T) []T { return all[:(len(all)+1)/2] }

type mishapStream struct {
	*kafka.Consumer
	*life
}

func (s mishapStream) Gather(ctx context.Context, until time.Time) ([]click.Placed, []click.DeadLetter, error) {
	clicks, dead, err := s.Consumer.Gather(ctx, until)
	switch {
	case len(clicks) > 0:
		s.partition = clicks[0].Partition
	case len(dead) > 0:
		s.partition = dead[0].Partition
	}
	return clicks, dead, err
}

func (s mishapStream) Bury(ctx context.Context, letters []click.DeadLetter) error {
	bury := func(ctx context.Context) error { return s.Consumer.Bury(ctx, letters) }
	return s.around(ctx, stepBury, bury, bury)
}

func (s mishapStream) Commit(ctx context.Context) error {
	commit := func(ctx context.Context) error {
		err := s.Consumer.Commit(ctx)
		if err == nil {
			s.commits.Add(1)
		}
		return err
	}
	return s.around(ctx, stepCommit, commit, commit)
}

// Leave of one that died silently is the broker's doing, later.
func (s mishapStream) Leave() {
	if !s.silent {
		s.Consumer.Leave()
		return
	}
	partition, delay := s.partition, time.Duration(s.random.IntN(200))*time.Millisecond
	s.later(delay, func() {
		s.evict(partition)
		s.Consumer.Leave()
	})
}

type mishapStore struct {
	store
	*life
}

func (s mishapStore) InsertClicks(ctx context.Context, clicks []click.Placed) error {
	return s.around(ctx, stepInsert,
		func(ctx context.Context) error { return s.store.InsertClicks(ctx, clicks) },
		func(ctx context.Context) error { return s.store.InsertClicks(ctx, firstHalf(clicks)) })
}

func (s mishapStore) InsertFiltered(ctx context.Context, entries []click.Filtered) error {
	insert := func(ctx context.Context) error { return s.store.InsertFiltered(ctx, entries) }
	return s.around(ctx, stepDropped, insert, insert)
}

func (s mishapStore) StoredAmong(ctx context.Context, clicks []click.Placed, validity time.Duration) (stored []bool, err error) {
	look := func(ctx context.Context) (err error) {
		stored, err = s.store.StoredAmong(ctx, clicks, validity)
		return err
	}
	err = s.around(ctx, stepLookUp, look, look)
	return stored, err
}

type mishapSeen struct {
	seenIndex
	*life
}

func (x mishapSeen) Ask(ctx context.Context, ids []click.ImpressionID) (seen []bool, err error) {
	ask := func(ctx context.Context) (err error) {
		seen, err = x.seenIndex.Ask(ctx, ids)
		return err
	}
	err = x.around(ctx, stepAsk, ask, ask)
	return seen, err
}

func (x mishapSeen) Mark(ctx context.Context, ids []click.ImpressionID) error {
	return x.around(ctx, stepMark,
		func(ctx context.Context) error { return x.seenIndex.Mark(ctx, ids) },
		func(ctx context.Context) error { return x.seenIndex.Mark(ctx, firstHalf(ids)) })
}

func (l *life) parts() Parts {
	log := slog.New(slog.DiscardHandler)
	member := kafka.Membership{
		Name:      l.name,
		Heartbeat: 50 * time.Millisecond, Rebalance: rebalanceMax, FetchWait: 20 * time.Millisecond, BatchRecordsMax: 1 + l.random.IntN(9),
	}
	return Parts{
		Log: log, Registry: prometheus.NewRegistry(), Validity: validity,
		BatchInterval: time.Duration(1+l.random.IntN(30)) * time.Millisecond,
		Join: func(context.Context) (Stream, error) {
			consumer, err := kafka.NewConsumer(l.config, log, member)
			return mishapStream{consumer, l}, err
		},
		Store:       mishapStore{l.grounds.store, l},
		Seen:        mishapSeen{l.grounds.seen, l},
		RebuildSeen: l.rebuild,
	}
}
