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

// wait checks the topic once Kafka answers. An error is one that waiting does
// not mend: a topic that is missing or another than configured.
func (t *topicCheck) wait(ctx context.Context) error {
	ticker := time.NewTicker(topicRetryInterval)
	defer ticker.Stop()
	for told := false; ; {
		err := t.check(ctx)
		if err == nil {
			t.log.Info("the clicks topic is as configured")
			return nil
		}
		if !errors.Is(err, click.ErrUnavailable) && ctx.Err() == nil {
			return err
		}
		if !told {
			t.log.Warn("waiting for kafka: clicks are kept in the journal until it is there", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
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
