package activities

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

func TestSumsThatDoNotAgreeAreTriedAFewTimesAndToldInNumbers(t *testing.T) {
	in := RollUpInput{Day: click.DayOf(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)), Level: click.PerHour}
	tally := click.RollupTally{Ads: 5, Totals: 6, FromAds: 7, FromTotals: 8, Sealed: 9, KnowsSealed: true}
	for attempt, final := range map[int32]bool{1: false, rollupAttemptsMax - 1: false, rollupAttemptsMax: true} {
		err := disagrees(in, tally, attempt)
		var said *temporal.ApplicationError
		if !errors.As(err, &said) || said.NonRetryable() != final || said.Type() != ErrorVerification {
			t.Errorf("attempt %d: %v", attempt, err)
		}
		want := "hour of 2026-11-22: ads sum to 5, totals to 6, but one level below ads sum to 7 and totals to 8, and 9 clicks were sealed"
		if !strings.Contains(err.Error(), want) {
			t.Errorf("attempt %d: %v", attempt, err)
		}
	}
}
