package workflows

import "clickledger/internal/click"

// Task queues. FlushQueue carries the tick and its flushes only, so that
// nothing on OperationsQueue, however large, makes figures wait.
const (
	FlushQueue      = "flush"
	OperationsQueue = "operations"
)

// FlushScheduleID names the schedule that starts FlushTick.
const FlushScheduleID = "flush-tick"

// FlushWindowID is the id of the flush of w, whoever starts it: no two flushes
// of one window run at the same time.
func FlushWindowID(w click.Window) string { return "flush/" + w.String() }
