package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"clickledger/internal/click"
)

// scriptedTopic answers one error after the other, the last one for ever.
type scriptedTopic struct {
	answers []error
	asked   atomic.Int32
}

func (s *scriptedTopic) CheckTopic(context.Context) error {
	return s.answers[min(int(s.asked.Add(1)), len(s.answers))-1]
}

var (
	errFewer = errors.Join(errors.New("topic x has 6 partitions, 8 are configured"), click.ErrFewerPartitions)
	errMore  = errors.New("topic x has 16 partitions but 8 are configured")
	errAway  = errors.Join(errors.New("no broker answers"), click.ErrUnavailable)
)

func TestClicksWaitUntilTheTopicHasAsManyPartitionsAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := &scriptedTopic{answers: []error{errAway, errFewer, errFewer, errAway, errFewer, nil}}
		check := &topicCheck{producer: topic, log: slog.New(slog.DiscardHandler)}
		if err := check.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if asked := topic.asked.Load(); asked != 6 {
			t.Errorf("asked %d times, want 6: until it was raised", asked)
		}
	})
}

func TestATopicWithMorePartitionsThanConfiguredEndsTheGateway(t *testing.T) {
	check := &topicCheck{producer: &scriptedTopic{answers: []error{errMore}}, log: slog.New(slog.DiscardHandler)}
	if err := check.wait(t.Context()); !errors.Is(err, errMore) {
		t.Errorf("%v, want what is wrong", err)
	}
}

func TestARunningGatewayHoldsItsClicksWhenTheTopicWasRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := &scriptedTopic{answers: []error{nil, errAway, nil, errMore}}
		check := &topicCheck{producer: topic, log: slog.New(slog.DiscardHandler)}
		began, holds := time.Now(), 0
		check.watch(t.Context(), func() { holds++ })
		if took := time.Since(began); holds != 1 || took != 4*topicWatchInterval {
			t.Errorf("held %d times after %v, want once, at the fourth look", holds, took)
		}
	})
}

func TestAWatchEndsWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		check := &topicCheck{producer: &scriptedTopic{answers: []error{nil}}, log: slog.New(slog.DiscardHandler)}
		check.watch(ctx, func() { t.Error("held") })
	})
}
