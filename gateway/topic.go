package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"clickledger/internal/click"
)

const (
	topicRetryInterval = time.Second
	topicAskTimeout    = 5 * time.Second
	topicWatchInterval = 5 * time.Second
)

// topicCheck finds out, before any click goes to Kafka, whether the topic is as
// the configuration says: with another number of partitions, clicks of one
// impression would go to two.
type topicCheck struct {
	producer interface {
		CheckTopic(ctx context.Context) error
	}
	log *slog.Logger
}

// wait checks the topic once Kafka answers. A topic with fewer partitions than
// configured is about to be raised: until it is, clicks are kept, so that nothing
// goes to the old partitions and these can be drained. An error is one that
// waiting does not mend: a topic that is missing or another than configured.
func (t *topicCheck) wait(ctx context.Context) error {
	ticker := time.NewTicker(topicRetryInterval)
	defer ticker.Stop()
	for told := ""; ; {
		err := t.check(ctx)
		if err == nil {
			t.log.Info("the clicks topic is as configured")
			return nil
		}
		why := ""
		switch {
		case errors.Is(err, click.ErrFewerPartitions):
			why = "waiting for setup to raise the topic: clicks are kept in the journal until it has as many partitions as are configured"
		case errors.Is(err, click.ErrUnavailable) || ctx.Err() != nil:
			why = "waiting for kafka: clicks are kept in the journal until it is there"
		default:
			return err
		}
		if told != why {
			t.log.Warn(why, "error", err)
			told = why
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// watch looks at the topic now and then while clicks go to it. If it is not as
// configured any more, it calls hold, once, and ends: a gateway that was not
// there when the partitions were raised must not go on with the old number.
func (t *topicCheck) watch(ctx context.Context, hold func()) {
	ticker := time.NewTicker(topicWatchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := t.check(ctx)
		if err == nil || errors.Is(err, click.ErrUnavailable) || ctx.Err() != nil {
			continue
		}
		t.log.Error("clicks are kept in the journal until this gateway is restarted with the right settings", "error", err)
		hold()
		return
	}
}

func (t *topicCheck) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, topicAskTimeout)
	defer cancel()
	err := t.producer.CheckTopic(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(click.ErrUnavailable, err)
	}
	return err
}
