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
	stepPlanArchive
	stepFixRanges
	stepWriteRange
	stepPublish
	stepExportTable
	stepPublishExport
	stepPruneExports
	stepListLeftovers
	stepRemoveLeftovers
	stepPlanRollups
	stepRollUp
	stepPlanReconciliations
	stepFixLake
	stepCompareLake
	stepRepairClicks
	stepFlushSpan
	stepRebuildFigures
	stepRecord
	stepStageTail
	stepRemoveTail
	stepPlanImport
	stepLoadAds
	stepMergeAds
	stepAnnounceImport
	stepEndImport
	stepSyncAds
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
		// An archive that uses all this up fails; the next tick begins it anew.
		stepPlanArchive: {attempt: 30 * time.Second, altogether: 2 * time.Minute},
		stepFixRanges:   {attempt: 30 * time.Second, altogether: 20 * time.Minute},
		stepWriteRange:  {attempt: 10 * time.Minute, altogether: 30 * time.Minute, heartbeat: time.Minute},
		stepPublish:     {attempt: 2 * time.Minute, altogether: 10 * time.Minute, heartbeat: time.Minute},
		// Ten million ads take some minutes. The next hour's run does what this
		// one could not.
		stepExportTable:   {attempt: 20 * time.Minute, altogether: 45 * time.Minute, heartbeat: time.Minute},
		stepPublishExport: {attempt: 2 * time.Minute, altogether: 10 * time.Minute, heartbeat: time.Minute},
		stepPruneExports:  {attempt: 5 * time.Minute, altogether: 10 * time.Minute, heartbeat: time.Minute},
		// The next night's run does what this one could not.
		stepListLeftovers:   {attempt: 2 * time.Minute, altogether: 20 * time.Minute},
		stepRemoveLeftovers: {attempt: 10 * time.Minute, altogether: 30 * time.Minute, heartbeat: time.Minute},
		// A day that uses all this up fails; the next night's tick begins it anew.
		stepPlanRollups: {attempt: time.Minute, altogether: 5 * time.Minute},
		stepRollUp:      {attempt: 25 * time.Minute, altogether: 90 * time.Minute},
		// An hour that uses all this up fails; the next hour's tick plans it again.
		stepPlanReconciliations: {attempt: 2 * time.Minute, altogether: 10 * time.Minute},
		stepFixLake:             {attempt: 5 * time.Minute, altogether: 3 * time.Hour, heartbeat: time.Minute}, // waits for the archive and the ingester
		stepCompareLake:         {attempt: 20 * time.Minute, altogether: 2 * time.Hour, heartbeat: 2 * time.Minute},
		stepRepairClicks:        {attempt: 20 * time.Minute, altogether: 2 * time.Hour, heartbeat: 2 * time.Minute},
		stepFlushSpan:           {attempt: 20 * time.Minute, altogether: 2 * time.Hour, heartbeat: 2 * time.Minute},
		stepRebuildFigures:      {attempt: 20 * time.Minute, altogether: 2 * time.Hour, heartbeat: 2 * time.Minute},
		stepRecord:              {attempt: time.Minute, altogether: time.Hour},
		// What is staged is bounded; beyond that the archive is waited for.
		stepStageTail: {attempt: 30 * time.Minute, altogether: 3 * time.Hour, heartbeat: time.Minute},
		// What stays is deleted by CleanLake.
		stepRemoveTail: {attempt: 2 * time.Minute, altogether: 10 * time.Minute, heartbeat: time.Minute},
		// An import waits for whatever is away; nothing it has done is done again.
		stepPlanImport:     {attempt: 2 * time.Minute, altogether: 20 * time.Minute},
		stepLoadAds:        {attempt: 20 * time.Minute, altogether: 6 * time.Hour, heartbeat: 2 * time.Minute},
		stepMergeAds:       {attempt: 20 * time.Minute, altogether: 6 * time.Hour, heartbeat: 2 * time.Minute},
		stepAnnounceImport: {attempt: 30 * time.Second, altogether: 6 * time.Hour},
		// What stays is dropped by the table after three days.
		stepEndImport: {attempt: time.Minute, altogether: 5 * time.Minute},
		stepSyncAds:   {attempt: 20 * time.Minute, altogether: 6 * time.Hour, heartbeat: time.Minute},
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
