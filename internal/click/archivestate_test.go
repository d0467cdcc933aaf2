package click

import (
	"math"
	"strings"
	"testing"
	"time"
)

func archivedTo(end time.Time, nexts ...int64) *Manifest {
	m := &Manifest{TopicID: "id", End: end}
	for partition, next := range nexts {
		m.Ranges = append(m.Ranges, ArchivedRange{PartitionRange: PartitionRange{Partition: int32(partition), OffsetSpan: OffsetSpan{Next: next}}})
	}
	return m
}

func TestAnArchiveIsLateLongBeforeAnythingIsLost(t *testing.T) {
	now, week := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC), 7*24*time.Hour
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	inPlace := []StreamBounds{{Start: 5}, {Start: 20}}
	for _, one := range []struct {
		name      string
		last      *Manifest
		topicID   string
		bounds    []StreamBounds
		oldest    time.Time
		retention time.Duration
		lag       time.Duration
		untilLoss time.Duration
		alarm     string
	}{
		{"nothing there", nil, "id", inPlace, time.Time{}, week, 0, week, ""},
		{"begins", nil, "id", inPlace, ago(15 * time.Minute), week, 15 * time.Minute, week - 15*time.Minute, ""},
		{"does not begin", nil, "id", inPlace, ago(16 * time.Minute), week, 16 * time.Minute, week - 16*time.Minute, "Nothing is archived yet"},
		{"up to date", archivedTo(ago(6*time.Minute), 10, 20), "id", inPlace, ago(week), week, 6 * time.Minute, week - 6*time.Minute, ""},
		{"behind", archivedTo(ago(42*time.Hour), 10, 20), "id", inPlace, ago(week), week, 42 * time.Hour, week - 42*time.Hour, ""},
		{"late", archivedTo(ago(43*time.Hour), 10, 20), "id", inPlace, ago(week), week, 43 * time.Hour, week - 43*time.Hour, "is 43h0m0s behind and Kafka keeps clicks for 168h0m0s: in 125h0m0s"},
		{"kept without end", archivedTo(ago(1000*time.Hour), 10, 20), "id", inPlace, ago(week), 0, 1000 * time.Hour, math.MaxInt64, ""},
		{"losing", archivedTo(ago(time.Hour), 10, 20), "id", []StreamBounds{{Start: 5}, {Start: 27}}, ago(week), week, time.Hour, 0, "has dropped 7 offsets"},
		{"losing beside a new partition", archivedTo(ago(time.Hour), 10, 20), "id", []StreamBounds{{Start: 11}, {Start: 20}, {Start: 3}}, ago(week), week, time.Hour, 0, "has dropped 1 offsets"},
		{"another topic", archivedTo(ago(time.Hour), 10, 20), "other", []StreamBounds{{Start: 90}}, ago(week), week, time.Hour, week - time.Hour, "not the one the lake was archived from"},
	} {
		s := NewArchiveState(one.last, one.topicID, one.bounds, one.oldest, one.retention)
		alarm := s.Alarm(now)
		if s.Lag(now) != one.lag || s.UntilLoss(now) != one.untilLoss || (alarm == "") != (one.alarm == "") || !strings.Contains(alarm, one.alarm) {
			t.Errorf("%s: behind %v, %v until loss, alarm %q", one.name, s.Lag(now), s.UntilLoss(now), alarm)
		}
	}
}
