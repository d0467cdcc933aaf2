package click

import (
	"encoding/binary"
	"errors"
	"time"
)

// The seen index knows which impressions were already counted. An impression
// can be counted only while its token is valid, so the index keeps a set of
// impressions for the validity and a little longer, and is only asked about
// those it surely still has.
const (
	// seenKept is how much longer than the validity a set lives: outages up to
	// this long leave the index able to answer.
	seenKept = 6 * time.Hour
	// seenMargin is how much earlier than its end a set is no longer trusted:
	// clocks differ, batches take time.
	seenMargin = time.Hour
	// issueSkew is how much later than a click its impression may claim to be
	// issued: the clocks of issuer and gateway differ by seconds.
	issueSkew = time.Minute
)

// What a seen index can answer instead of an answer.
var (
	// ErrSeenNotReady: the index was lost, is being rebuilt, or was built for
	// other settings. It must be rebuilt before it is asked again.
	ErrSeenNotReady = errors.New("the seen index is not complete")
	// ErrSeenFull: the index has no memory left for another impression.
	ErrSeenFull = errors.New("the seen index is full")
)

// SeenKey names the set an impression belongs to in the seen index.
type SeenKey struct {
	Shard  uint16
	Second int64 // of issue, Unix
}

// SeenKeyOf is the set of id among shards shards. The shard comes from the
// millisecond within the second and the 12 random bits before the variant (RFC
// 9562's rand_a): bits that are neither in the second nor in Random62, the
// set's member, so they tell impressions apart too.
func SeenKeyOf(id ImpressionID, shards int) SeenKey {
	ms := uint64(binary.BigEndian.Uint32(id[0:4]))<<16 | uint64(binary.BigEndian.Uint16(id[4:6]))
	randA := uint64(binary.BigEndian.Uint16(id[6:8]) & 0x0fff)
	return SeenKey{
		Shard:  uint16((ms%1000<<12 | randA) % uint64(shards)),
		Second: int64(ms / 1000),
	}
}

// Expiry is when the index may forget the set, for tokens valid for validity.
func (k SeenKey) Expiry(validity time.Duration) time.Time {
	return time.Unix(k.Second, 0).Add(validity + seenKept)
}

// SeenRemembers reports whether the index, if complete, surely still has the
// set of id at now. What it may have forgotten must be looked up in the store.
func SeenRemembers(id ImpressionID, validity time.Duration, now time.Time) bool {
	return now.Before(id.IssuedAt().Add(validity + seenKept - seenMargin))
}

// SeenSince is the earliest issue time that a complete index holds at now.
func SeenSince(validity time.Duration, now time.Time) time.Time {
	return now.Add(-validity - seenKept).Truncate(time.Second)
}

// SeenWindow is the start of the first window that can hold a click of an
// impression issued at or after since.
func SeenWindow(since time.Time) time.Time { return WindowOf(since.Add(-issueSkew)).Start() }
