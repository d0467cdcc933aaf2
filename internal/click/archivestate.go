package click

import (
	"fmt"
	"math"
	"time"
)

const (
	// archiveLagPart is the part of the stream's retention that may be behind
	// before it is an alarm.
	archiveLagPart = 0.25
	// archiveBeginMax is how old the stream's oldest click may be while nothing
	// is archived yet: three archive windows.
	archiveBeginMax = 15 * time.Minute
)

// ArchiveState is how far the lake is behind the stream, as it was looked at.
// What follows from it depends on the time now: nothing new need be known for a
// standing archive to become late.
type ArchiveState struct {
	Through    time.Time     // everything appended before it is archived; zero: nothing yet
	Oldest     time.Time     // append time of the stream's oldest record; zero: there is none
	Retention  time.Duration // how long the stream keeps records; 0: without end
	Dropped    int64         // offsets that the stream dropped and no manifest accounts for yet
	OtherTopic bool          // the stream is not the one that was archived: its offsets mean nothing to the lake
}

// NewArchiveState puts together what both sides tell: the last manifest (nil:
// there is none) and the stream.
func NewArchiveState(last *Manifest, topicID string, bounds []StreamBounds, oldest time.Time, retention time.Duration) ArchiveState {
	s := ArchiveState{Oldest: oldest, Retention: retention}
	if last == nil {
		return s
	}
	s.Through, s.OtherTopic = last.End, last.TopicID != topicID
	if s.OtherTopic {
		return s
	}
	for partition, b := range bounds {
		if partition < len(last.Ranges) {
			s.Dropped += max(b.Start-last.Ranges[partition].Next, 0)
		}
	}
	return s
}

// Lag is how far the archive is behind now; 0 while there is nothing to archive.
func (s ArchiveState) Lag(now time.Time) time.Duration {
	from := s.Through
	if from.IsZero() {
		from = s.Oldest
	}
	if from.IsZero() {
		return 0
	}
	return max(now.Sub(from), 0)
}

// UntilLoss is how long it takes until the stream begins to drop what is not
// archived: 0 when it has begun, the longest duration when it never will.
func (s ArchiveState) UntilLoss(now time.Time) time.Duration {
	switch {
	case s.Dropped > 0:
		return 0
	case s.Retention == 0:
		return math.MaxInt64
	default:
		return max(s.Retention-s.Lag(now), 0)
	}
}

// Alarm is a sentence for an operator who has to act, empty when all is well.
func (s ArchiveState) Alarm(now time.Time) string {
	lag := s.Lag(now)
	switch {
	case s.OtherTopic:
		return "The clicks topic is not the one the lake was archived from: nothing is archived."
	case s.Dropped > 0:
		return fmt.Sprintf("Clicks are being lost to the lake: Kafka has dropped %d offsets that were not archived, and the archive is %v behind.",
			s.Dropped, lag.Round(time.Minute))
	case s.Retention > 0 && lag.Seconds() > s.Retention.Seconds()*archiveLagPart:
		return fmt.Sprintf("The archive is %v behind and Kafka keeps clicks for %v: in %v it begins to drop what is not archived.",
			lag.Round(time.Minute), s.Retention, s.UntilLoss(now).Round(time.Minute))
	case s.Through.IsZero() && lag > archiveBeginMax:
		return fmt.Sprintf("Nothing is archived yet, and the oldest click in Kafka is %v old.", lag.Round(time.Minute))
	default:
		return ""
	}
}
