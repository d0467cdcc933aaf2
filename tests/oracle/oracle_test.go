package oracle_test

import (
	"testing"
	"time"

	"clickledger/tests/oracle"
)

var (
	minute = time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)
	next   = minute.Add(time.Minute)
)

func TestEqualFiguresHaveNoDifference(t *testing.T) {
	var o oracle.Oracle
	o.Add(1, true, minute.Add(3*time.Second), minute.Add(59*time.Second))
	o.AddCount(1, minute, 4)
	if d := o.Compare(map[int64]map[time.Time]int64{1: {minute: 5}}); len(d) > 0 {
		t.Fatal(d)
	}
	if o.Promised() != 5 {
		t.Fatalf("promised %d", o.Promised())
	}
}

func TestLostAndDoubledClicksAreTold(t *testing.T) {
	var o oracle.Oracle
	o.AddCount(1, minute, 4)
	o.AddCount(2, minute, 4)
	d := o.Compare(map[int64]map[time.Time]int64{1: {minute: 3}, 2: {minute: 6}, 3: {next: 1}})
	if len(d) != 3 || d[0].Lost() != 1 || d[1].Doubled() != 2 || d[2].Doubled() != 1 {
		t.Fatal(d)
	}
}

// Two copies at the turn of a minute: either minute is right, both are not.
func TestImpressionOfTwoMinutesCountsOnceInEither(t *testing.T) {
	var o oracle.Oracle
	o.Add(1, true, minute.Add(59*time.Second), next)
	for _, right := range []time.Time{minute, next} {
		if d := o.Compare(map[int64]map[time.Time]int64{1: {right: 1}}); len(d) > 0 {
			t.Fatal(d)
		}
	}
	if d := o.Compare(map[int64]map[time.Time]int64{1: {minute: 1, next: 1}}); len(d) != 1 || d[0].Doubled() != 1 {
		t.Fatal(d)
	}
	if d := o.Compare(nil); len(d) != 1 || d[0].Lost() != 1 {
		t.Fatal(d)
	}
}

func TestUnansweredClickMayCountOrNot(t *testing.T) {
	var o oracle.Oracle
	o.Add(1, false, minute)
	for _, counted := range []int64{0, 1} {
		if d := o.Compare(map[int64]map[time.Time]int64{1: {minute: counted}}); len(d) > 0 {
			t.Fatal(d)
		}
	}
	if o.Promised() != 0 {
		t.Fatal("an unanswered click promises nothing")
	}
	if from, to := o.Range(); !from.Equal(minute) || !to.Equal(next) {
		t.Fatal(from, to)
	}
}
