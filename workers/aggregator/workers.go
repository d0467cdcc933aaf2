package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"clickledger/activities"
	"clickledger/workflows"
)

// Slots: how much runs at a time. The heavy work is the store's, so a few
// activities keep it busy; the default would be 1,000.
const (
	flushActivitiesMax = 4
	// A backfill has up to four hours at a time; the archive and the rest must
	// not wait behind them.
	operationsActivitiesMax = 10
	workflowTasksMax        = 16
	pollersMax              = 2
	// stopTimeout is what a running activity has to finish in when the process
	// stops; one that does not is retried by the next worker.
	stopTimeout = 20 * time.Second
)

// workers are the workers of both queues, in one process.
type workers struct {
	flush      worker.Worker
	operations worker.Worker
	started    atomic.Bool
	fatal      chan error
}

// newWorkers registers flush with both queues, and what belongs to operations
// with that one.
func newWorkers(c client.Client, flush *activities.Flush, operations ...any) *workers {
	w := &workers{fatal: make(chan error, 2)} // one for each worker
	w.flush = w.worker(c, workflows.FlushQueue, flushActivitiesMax)
	w.operations = w.worker(c, workflows.OperationsQueue, operationsActivitiesMax)
	for _, each := range []worker.Worker{w.flush, w.operations} {
		workflows.Register(each)
		each.RegisterActivity(flush) // on both: repairs flush from operations
	}
	for _, each := range operations {
		w.operations.RegisterActivity(each)
	}
	return w
}

func (w *workers) worker(c client.Client, queue string, activitiesMax int) worker.Worker {
	return worker.New(c, queue, worker.Options{
		MaxConcurrentActivityExecutionSize:     activitiesMax,
		MaxConcurrentWorkflowTaskExecutionSize: workflowTasksMax,
		MaxConcurrentActivityTaskPollers:       pollersMax,
		MaxConcurrentWorkflowTaskPollers:       pollersMax,
		WorkerStopTimeout:                      stopTimeout,
		// An activity that comes with the answer to a workflow task is lost when
		// that answer is, and is noticed by its timeout only: seen on a busy machine.
		DisableEagerActivities: true,
		// A panic or a history that does not fit the code blocks the workflow
		// until a mended version is deployed; it loses nothing.
		WorkflowPanicPolicy: worker.BlockWorkflow,
		OnFatalError:        func(err error) { w.fatal <- fmt.Errorf("worker of queue %s: %w", queue, err) },
	})
}

func (w *workers) start() error {
	for _, each := range []worker.Worker{w.flush, w.operations} {
		if err := each.Start(); err != nil {
			w.stop()
			return fmt.Errorf("start worker: %w", err)
		}
	}
	w.started.Store(true)
	return nil
}

// wait returns nil when the context ends, or why a worker cannot go on.
func (w *workers) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-w.fatal:
		return err
	}
}

// stop lets both finish what they run, side by side.
func (w *workers) stop() {
	if !w.started.Load() {
		return
	}
	var wait sync.WaitGroup
	wait.Go(w.flush.Stop)
	wait.Go(w.operations.Stop)
	wait.Wait()
}

func (w *workers) check(context.Context) error {
	if !w.started.Load() {
		return errors.New("waiting for Temporal")
	}
	return nil
}
