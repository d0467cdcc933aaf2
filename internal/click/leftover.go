package click

import (
	"fmt"
	"strings"
)

// Leftovers are objects of the lake that no manifest names: an attempt that
// died, or one whose ranges were fixed anew. They may go once it is sure that
// nothing will ever name them.

// Accounted is what the manifests of one day account for. Objects lie under the
// day of the manifest that names them.
type Accounted struct {
	topicID string
	named   map[string]bool
	spans   map[int32][]OffsetSpan // by partition, in order; neighbours are one
}

// Add takes in a manifest. They come in the order of their windows. It is
// ErrOtherTopic when the offsets are not all of one topic.
func (a *Accounted) Add(m Manifest) error {
	if a.named == nil {
		a.named, a.spans, a.topicID = map[string]bool{}, map[int32][]OffsetSpan{}, m.TopicID
	}
	if m.TopicID != a.topicID {
		return fmt.Errorf("manifest %s is of topic id %s, earlier ones of %s: %w", m.Window, m.TopicID, a.topicID, ErrOtherTopic)
	}
	for _, r := range m.Ranges {
		spans := a.spans[r.Partition]
		if last := len(spans) - 1; last >= 0 && spans[last].Next == r.First {
			spans[last].Next = r.Next
		} else {
			spans = append(spans, r.OffsetSpan)
		}
		a.spans[r.Partition] = spans
		for _, o := range r.Objects {
			a.named[o.Path] = true
		}
	}
	return nil
}

// Names reports whether a manifest names the object.
func (a *Accounted) Names(path string) bool { return a.named[path] }

// Covers reports whether every offset of an object's span lies in the ranges of
// manifests. Those were published, and ranges do not overlap: no other manifest
// will ever name the object. What was lost lies in no range, so an object that
// holds clicks out of a hole is never covered, and neither is one that is not
// named as LakeObjectPath does.
func (a *Accounted) Covers(path string) bool {
	partition, span, ok := parseLakeObjectPath(path)
	if !ok {
		return false
	}
	for _, s := range a.spans[partition] {
		if s.First <= span.First && span.Next <= s.Next {
			return true
		}
	}
	return false
}

// parseLakeObjectPath reads what LakeObjectPath writes.
func parseLakeObjectPath(path string) (partition int32, span OffsetSpan, ok bool) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	var last int64
	if _, err := fmt.Sscanf(name, "clicks-%d-%d-%d.parquet", &partition, &span.First, &last); err != nil {
		return 0, OffsetSpan{}, false
	}
	span.Next = last + 1
	// Whatever is written otherwise is not ours.
	if name != fmt.Sprintf("clicks-%d-%d-%d.parquet", partition, span.First, last) || span.Len() <= 0 {
		return 0, OffsetSpan{}, false
	}
	return partition, span, true
}
