package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// step is a kind of activity with its own timeouts.
type step int

const (
	stepPlan step = iota
	stepSnapshot
	stepAggregate
	stepVerify
	stepSeal
	stepRefill
	stepPlanFanOuts
	stepSpread
)

// limit bounds a step: one attempt, and all attempts with the waits between.
type limit struct {
	attempt    time.Duration
	altogether time.Duration
	heartbeat  time.Duration // the longest silence of an attempt; 0: it has none
}

// limitOf is the one table of timeouts. When all attempts of a flush are used
// up it fails, and the next tick plans its window again.
func limitOf(s step) limit {
	return [...]limit{
		stepPlan:      {attempt: 20 * time.Second, altogether: 2 * time.Minute},
		stepSnapshot:  {attempt: 15 * time.Second, altogether: time.Hour}, // waits for the ingester
		stepAggregate: {attempt: 90 * time.Second, altogether: 10 * time.Minute},
		stepVerify:    {attempt: 90 * time.Second, altogether: 10 * time.Minute},
		stepSeal:      {attempt: 15 * time.Second, altogether: 10 * time.Minute},
		// A hundred million impressions take some minutes. A rebuild that
		// outlasts this is stuck, and the ingester asks for the next.
		stepRefill: {attempt: 2 * time.Hour, altogether: rebuildTimeout, heartbeat: 2 * time.Minute},
		// The next minute's run does what this one could not.
		stepPlanFanOuts: {attempt: 50 * time.Second, altogether: hotAdsTimeout},
		stepSpread:      {attempt: 30 * time.Second, altogether: hotAdsTimeout},
	}[s]
}

// optionsFor is how a step is run; summary is what the timeline shows of it.
func optionsFor(s step, summary string) workflow.ActivityOptions {
	l := limitOf(s)
	return workflow.ActivityOptions{
		StartToCloseTimeout:    l.attempt,
		ScheduleToCloseTimeout: l.altogether,
		HeartbeatTimeout:       l.heartbeat,
		RetryPolicy:            retries(),
		Summary:                summary,
	}
}

// retries: 1 s, doubled, at most 60 s; bounded by the step's altogether.
func retries() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{
		InitialInterval:    time.Second,
		BackoffCoefficient: 2,
		MaximumInterval:    time.Minute,
	}
}
