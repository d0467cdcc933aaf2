// Package poll waits for a condition with a deadline, for tests and programs
// that look at the system from outside.
package poll

import (
	"context"
	"fmt"
	"time"
)

// Until calls check at once and then every interval until it answers nil. After
// timeout, or when ctx ends, the error says what check last complained of.
func Until(ctx context.Context, timeout, interval time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		// A check that was cut off by the deadline says less than the one before.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("gave up after %v: %w", timeout, last)
		}
	}
}

// Pause waits for d or until ctx ends, whichever is first.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
