package main

import (
	"testing"
	"time"
)

func at(text string) time.Time {
	t, err := time.Parse(time.TimeOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestWhereAnImpressionMayCount(t *testing.T) {
	type try struct {
		outcome               outcome
		sent, ended, recorded string
		again                 bool
	}
	tests := []struct {
		name  string
		tries []try
		may   []string
		not   []string
	}{
		{
			"one answered click counts in the minute that was named",
			[]try{{recorded, "10:00:59", "10:01:01", "10:00:59", false}},
			[]string{"10:00:00"}, []string{"10:01:00", "09:59:00"},
		},
		{
			"one that went out twice may count when it was sent again",
			[]try{{recorded, "10:00:59", "10:01:01", "10:01:00", true}},
			[]string{"10:00:00", "10:01:00"}, []string{"09:59:00", "10:04:00"},
		},
		{
			"one without an answer may be read by a gateway that was frozen",
			[]try{{noAnswer, "10:00:59", "10:01:04", "", false}, {recorded, "10:01:05", "10:01:05", "10:01:05", false}},
			[]string{"10:00:00", "10:01:00", "10:02:00"}, []string{"09:59:00", "10:03:00"},
		},
		{
			"one that was refused may have been recorded until it was",
			[]try{{refused, "10:00:10", "10:00:12", "", false}, {recorded, "10:02:05", "10:02:05", "10:02:05", false}},
			[]string{"10:00:00", "10:02:00"}, []string{"10:01:00"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var i impression
			for _, try := range test.tries {
				var clickedAt time.Time
				if try.recorded != "" {
					clickedAt = at(try.recorded)
				}
				i.tried(try.outcome, at(try.sent), at(try.ended), clickedAt, try.again)
			}
			for _, minute := range test.may {
				if !i.mayCountIn(at(minute)) {
					t.Errorf("may not count in %s", minute)
				}
			}
			for _, minute := range test.not {
				if i.mayCountIn(at(minute)) {
					t.Errorf("may count in %s", minute)
				}
			}
			if !i.first.Equal(at(test.tries[0].sent)) || !i.settled() {
				t.Errorf("first clicked at %v, settled: %v", i.first, i.settled())
			}
		})
	}
}
