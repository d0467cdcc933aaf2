package main

import (
	"log/slog"
	"time"

	"clickledger/internal/journal"
)

// drainedInterval is how often a stopping gateway looks at its journal.
const drainedInterval = 100 * time.Millisecond

// awaitDrained waits until the journal holds nothing, at most for timeout: a
// gateway that leaves for good takes along what is still in it. It is called
// when no click comes in any more, while the drain goes on.
func awaitDrained(timeout time.Duration, held func() journal.Held, log *slog.Logger) {
	if timeout <= 0 || held().Depth == 0 {
		return
	}
	log.Info("stopping once the journal is drained", "clicks", held().Depth, "longest", timeout.String())
	ticker := time.NewTicker(drainedInterval)
	defer ticker.Stop()
	for end := time.After(timeout); ; {
		select {
		case <-end:
			return
		case <-ticker.C:
			if held().Depth == 0 {
				return
			}
		}
	}
}
