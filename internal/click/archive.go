package click

import (
	"fmt"
	"time"
)

const (
	// ArchiveLength is how much of the stream one manifest of the lake covers, by
	// append time. Archive windows begin at its multiples since midnight, UTC.
	ArchiveLength = 5 * time.Minute
	// ManifestVersion is the version of the manifests this code writes and reads.
	ManifestVersion = 1
)

// ArchiveWindowOf is the first minute of the archive window that t falls into.
func ArchiveWindowOf(t time.Time) Window { return WindowOf(t.UTC().Truncate(ArchiveLength)) }

// ArchiveEnd is the first instant after the archive window that begins with w.
func ArchiveEnd(w Window) time.Time { return w.Start().Add(ArchiveLength) }

// NextArchive is the first minute of the archive window behind the one that
// begins with w.
func NextArchive(w Window) Window { return WindowOf(ArchiveEnd(w)) }

// StartsArchive reports whether an archive window begins with w.
func StartsArchive(w Window) bool { return w == ArchiveWindowOf(w.Start()) }

// OffsetSpan is the offsets [First, Next) of one partition.
type OffsetSpan struct {
	First int64 `json:"first"`
	Next  int64 `json:"next"`
}

// Len is how many offsets are in the span.
func (s OffsetSpan) Len() int64 { return s.Next - s.First }

// Pieces cuts the span into spans of at most length offsets, always at the same
// places: what is written of one piece does not depend on who writes it.
func (s OffsetSpan) Pieces(length int64) []OffsetSpan {
	var pieces []OffsetSpan
	for first := s.First; first < s.Next; first += length {
		pieces = append(pieces, OffsetSpan{first, min(first+length, s.Next)})
	}
	return pieces
}

// PartitionRange is what an archive window takes of one partition.
type PartitionRange struct {
	Partition int32 `json:"partition"`
	OffsetSpan
	// Lost are offsets right before First that the stream dropped before they
	// were archived: a hole in the lake that no retry mends. Absent when there is
	// none.
	Lost *OffsetSpan `json:"lost,omitempty"`
}

// StreamBounds is where a partition of the stream begins, and where an archive
// window ends in it.
type StreamBounds struct {
	Start int64 // the log start: everything before it is gone
	Next  int64 // the first offset appended at the window's end or later; with none yet, the end offset
}

// ContinueRanges are the ranges of the archive window behind the one whose
// ranges are previous (nil: the archive begins), one for each partition. Each
// starts where the previous ended; what the stream has dropped since then is
// lost. Partitions may have been added, never removed.
func ContinueRanges(previous []ArchivedRange, bounds []StreamBounds) ([]PartitionRange, error) {
	if len(bounds) < len(previous) {
		return nil, fmt.Errorf("the stream has %d partitions, the last manifest %d: %w", len(bounds), len(previous), ErrOtherTopic)
	}
	ranges := make([]PartitionRange, len(bounds))
	for partition, b := range bounds {
		expected := b.Start
		if partition < len(previous) {
			expected = previous[partition].Next
		}
		r := PartitionRange{Partition: int32(partition), OffsetSpan: OffsetSpan{First: max(expected, b.Start)}}
		r.Next = max(b.Next, r.First)
		if r.First > expected {
			r.Lost = &OffsetSpan{expected, r.First}
		}
		ranges[partition] = r
	}
	return ranges, nil
}

// Appended is a click with its place in the stream and the time at which the
// stream took it, by the broker's clock, in milliseconds, UTC.
type Appended struct {
	Placed
	AppendedAt time.Time
}

// LakeObject is one Parquet file of the lake, and what readers choose it by.
type LakeObject struct {
	Path string `json:"path"` // in the bucket
	OffsetSpan
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal, of the whole object
	// The earliest and the latest of the rows, both inclusive.
	ClickedMin  time.Time `json:"clicked_min"`
	ClickedMax  time.Time `json:"clicked_max"`
	AppendedMin time.Time `json:"appended_min"`
	AppendedMax time.Time `json:"appended_max"`
}

// LakeObjectPath is where the clicks of a span of a partition are kept, by the
// hour in which their archive window began.
func LakeObjectPath(w Window, partition int32, span OffsetSpan) string {
	start := w.Start()
	return fmt.Sprintf("clicks/dt=%s/hour=%s/clicks-%d-%d-%d.parquet",
		start.Format(time.DateOnly), start.Format("15"), partition, span.First, span.Next-1)
}

// ArchivedRange is a range and what became of each of its offsets: a row of an
// object, a record that is no click, or an offset that holds no record. Rows,
// NotClicks and Empty sum up to the range's length.
type ArchivedRange struct {
	PartitionRange
	Rows      int64        `json:"rows"`
	NotClicks int64        `json:"not_clicks"` // they are dead letters
	Empty     int64        `json:"empty"`
	Objects   []LakeObject `json:"objects"`
}

// Manifest says what one archive window consists of. An object that no manifest
// names is no part of the lake.
type Manifest struct {
	Version int             `json:"version"`
	Topic   string          `json:"topic"`
	TopicID string          `json:"topic_id"`
	Window  Window          `json:"window"` // its first minute
	End     time.Time       `json:"end"`    // the first instant after it
	Ranges  []ArchivedRange `json:"ranges"` // by partition
}

// Rows is how many clicks the manifest's objects hold.
func (m Manifest) Rows() int64 {
	rows := int64(0)
	for _, r := range m.Ranges {
		rows += r.Rows
	}
	return rows
}

// Lost is how many offsets were dropped by the stream before this window.
func (m Manifest) Lost() int64 {
	lost := int64(0)
	for _, r := range m.Ranges {
		if r.Lost != nil {
			lost += r.Lost.Len()
		}
	}
	return lost
}

// Check reports the first thing that makes the manifest no account of its
// offsets.
func (m Manifest) Check() error {
	if m.Version != ManifestVersion {
		return fmt.Errorf("manifest %s has version %d, not %d", m.Window, m.Version, ManifestVersion)
	}
	for partition, r := range m.Ranges {
		if int(r.Partition) != partition {
			return fmt.Errorf("manifest %s: range %d is of partition %d", m.Window, partition, r.Partition)
		}
		if r.Rows+r.NotClicks+r.Empty != r.Len() {
			return fmt.Errorf("manifest %s: partition %d has %d offsets but accounts for %d", m.Window, partition, r.Len(), r.Rows+r.NotClicks+r.Empty)
		}
		rows, next := int64(0), r.First
		for _, o := range r.Objects {
			if o.First < next || o.Next > r.Next || o.Next <= o.First {
				return fmt.Errorf("manifest %s: object %s is not in its place", m.Window, o.Path)
			}
			rows, next = rows+o.Rows, o.Next
		}
		if rows != r.Rows {
			return fmt.Errorf("manifest %s: partition %d has %d rows, its objects %d", m.Window, partition, r.Rows, rows)
		}
	}
	return nil
}
