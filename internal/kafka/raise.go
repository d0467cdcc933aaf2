package kafka

import (
	"cmp"
	"context"
	"fmt"
)

// RaisePartitions gives the clicks topic the configured number of partitions and
// returns how many it had. It refuses with a plain sentence while anything of
// the old ones is not stored: two clicks of one impression could be judged side
// by side then. That nobody sends meanwhile is for the caller to see to.
func (a *Admin) RaisePartitions(ctx context.Context) (before int, err error) {
	topic := a.config.ClicksTopic()
	lags, err := a.Lag(ctx)
	if err != nil {
		return 0, err
	}
	behind := int64(0)
	for _, lag := range lags {
		behind += lag.End - lag.Committed
	}
	if behind > 0 {
		return len(lags), fmt.Errorf("%d records of topic %s are not stored yet: leave the ingesters running until they are, then run setup again", behind, topic)
	}
	answers, err := a.admin.UpdatePartitions(ctx, int(a.config.Partitions), topic)
	answer, missing := answers.On(topic, nil)
	if err = cmp.Or(err, missing, answer.Err); err != nil {
		return len(lags), brokerError("raise the partitions of topic "+topic, err)
	}
	err = a.await(ctx, "raise the partitions of topic "+topic, func(ctx context.Context) (bool, error) {
		details, err := a.admin.ListTopics(ctx, topic)
		if err != nil {
			return false, err
		}
		return led(details[topic]) && len(details[topic].Partitions) == int(a.config.Partitions), nil
	})
	return len(lags), err
}
