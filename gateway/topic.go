package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"clickledger/internal/click"
)

const (
	topicRetryInterval = time.Second
	topicAskTimeout    = 5 * time.Second
)

// topicCheck is the gateway's readiness to produce: the topic is as the
// configuration says, and a broker answers.
type topicCheck struct {
	producer interface {
		CheckTopic(ctx context.Context) error
		Ping(ctx context.Context) error
	}
	log *slog.Logger
	ok  atomic.Bool
}

// wait checks the topic once Kafka answers. An error is one that waiting does
// not mend: a topic that is missing or another than configured.
func (t *topicCheck) wait(ctx context.Context) error {
	ticker := time.NewTicker(topicRetryInterval)
	defer ticker.Stop()
	for told := false; ; {
		err := t.check(ctx)
		if err == nil {
			t.ok.Store(true)
			t.log.Info("ready: the clicks topic is as configured")
			return nil
		}
		if !errors.Is(err, click.ErrUnavailable) && ctx.Err() == nil {
			return err
		}
		if !told {
			t.log.Warn("waiting for kafka: clicks are answered 503 until it is there", "error", err)
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

// ready answers in words for anybody.
func (t *topicCheck) ready(ctx context.Context) error {
	if !t.ok.Load() {
		return errors.New("the clicks topic has not been checked yet: kafka does not answer")
	}
	if err := t.producer.Ping(ctx); err != nil {
		return errors.New("kafka does not answer: clicks are answered 503")
	}
	return nil
}
