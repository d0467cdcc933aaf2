package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestHowFarLakeAndStoreAgreeIsAskedNowAndThen(t *testing.T) {
	var recent recentReconciled
	asked, hour := 0, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var fault error
	ask := func(context.Context) (time.Time, error) {
		asked++
		// Others that come meanwhile do not wait.
		if got := recent.reconciledThrough(t.Context(), nil); asked == 1 && !got.IsZero() {
			t.Errorf("meanwhile it is %s", got)
		}
		return hour, fault
	}
	for range 3 {
		if got := recent.reconciledThrough(t.Context(), ask); !got.Equal(hour) || asked != 1 {
			t.Errorf("it is %s after %d questions", got, asked)
		}
	}
	recent.read, fault = time.Now().Add(-reconciledFresh), errors.New("away")
	if got := recent.reconciledThrough(t.Context(), ask); !got.IsZero() || asked != 2 {
		t.Errorf("with the store away it is %s after %d questions", got, asked)
	}
}

func TestWhoGivesUpDoesNotTakeFromTheOthersHowFarLakeAndStoreAgree(t *testing.T) {
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	var recent recentReconciled
	hour := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	if got := recent.reconciledThrough(given, func(ctx context.Context) (time.Time, error) { return hour, ctx.Err() }); !got.Equal(hour) {
		t.Errorf("it is %s", got)
	}
}
