package click

import (
	"fmt"
	"slices"
	"time"
)

// manifestMargin is how much earlier than its event time a click may have been
// appended, by clocks that differ.
const manifestMargin = 10 * time.Minute

// LakeFrom is the first archive window whose manifest a reconciliation of a
// span that starts with from reads: an impression clicked in the span may have
// been clicked before, as long as its token was valid.
func LakeFrom(from Window, validity time.Duration) Window {
	return ArchiveWindowOf(from.Start().Add(-validity - issueSkew - manifestMargin))
}

// LakePiece is an object of the lake and the partition its clicks are of.
type LakePiece struct {
	Partition int32
	LakeObject
}

// Hole is offsets that no object accounts for.
type Hole struct {
	Partition int32
	OffsetSpan
}

// LakePlan is what a reconciliation reads of the lake. What counts in a span is
// decided by impression: the click with the lowest offset of all, or none of
// the span's if that one lies elsewhere.
type LakePlan struct {
	From, To Window
	Validity time.Duration
	// Candidates may hold clicks of the span.
	Candidates []LakePiece
	// Others hold none, but perhaps an impression's click with a lower offset
	// than the one in the span.
	Others []LakePiece
	Holes  []Hole
	// Raised says that the number of partitions changed meanwhile. Then an
	// impression's clicks may lie in two, whose offsets do not compare, and the
	// one that was appended earlier comes first.
	Raised bool
}

// Lost is how many offsets were dropped between the windows that were read.
// Those from before the lake began are not counted.
func (p LakePlan) Lost() uint64 {
	lost := uint64(0)
	for _, hole := range p.Holes {
		if hole.First > 0 {
			lost += uint64(hole.Len())
		}
	}
	return lost
}

// Objects are all that the plan reads.
func (p LakePlan) Objects() []LakeObject {
	objects := make([]LakeObject, 0, len(p.Candidates)+len(p.Others))
	for _, piece := range slices.Concat(p.Candidates, p.Others) {
		objects = append(objects, piece.LakeObject)
	}
	return objects
}

// Lake is what manifests and a tail say there is: the manifests of windows
// without a gap, in order, from LakeFrom on or from where the lake Begins.
type Lake struct {
	Manifests []Manifest
	Begins    bool // there is no manifest before the first of them
	Tail      *LakeTail
}

// Archived is, by partition, the first offset behind manifests and tail. What a
// partition had before the lake began counts as archived: see Plan's holes.
func (l Lake) Archived() Offsets {
	var archived Offsets
	if last := len(l.Manifests) - 1; last >= 0 {
		for _, r := range l.Manifests[last].Ranges {
			archived = append(archived, r.Next)
		}
	}
	if l.Tail == nil {
		return archived
	}
	for partition, next := range l.Tail.Next {
		if partition == len(archived) {
			archived = append(archived, 0)
		}
		archived[partition] = max(archived[partition], next)
	}
	return archived
}

// Check reports the first thing that makes the lake no account of every offset
// from its first manifest on, as ErrLakeIncomplete.
func (l Lake) Check() error {
	for i, m := range l.Manifests[:max(len(l.Manifests)-1, 0)] {
		next := l.Manifests[i+1]
		switch {
		case next.Window != NextArchive(m.Window):
			return fmt.Errorf("%w: the manifest of window %s is missing", ErrLakeIncomplete, NextArchive(m.Window))
		case next.TopicID != m.TopicID:
			return fmt.Errorf("manifest %s is of topic id %s, %s of %s: %w", next.Window, next.TopicID, m.Window, m.TopicID, ErrOtherTopic)
		case len(next.Ranges) < len(m.Ranges):
			return fmt.Errorf("%w: manifest %s has %d partitions, the one before it %d", ErrLakeIncomplete, next.Window, len(next.Ranges), len(m.Ranges))
		}
		for partition, r := range m.Ranges {
			if gap := next.Ranges[partition].begins(); gap != r.Next {
				return fmt.Errorf("%w: manifest %s goes on in partition %d at offset %d, the one before it ended at %d",
					ErrLakeIncomplete, next.Window, partition, gap, r.Next)
			}
		}
	}
	if last := len(l.Manifests) - 1; last >= 0 && l.Tail != nil && l.Tail.TopicID != l.Manifests[last].TopicID {
		return fmt.Errorf("the tail is of topic id %s, manifest %s of %s: %w", l.Tail.TopicID, l.Manifests[last].Window, l.Manifests[last].TopicID, ErrOtherTopic)
	}
	return nil
}

// begins is where the range goes on from: what was lost before it is told.
func (r PartitionRange) begins() int64 {
	if r.Lost != nil {
		return r.Lost.First
	}
	return r.First
}

// Plan chooses what a reconciliation of [from, to) reads, by what the manifests
// tell of each object.
func (l Lake) Plan(from, to Window, validity time.Duration) LakePlan {
	plan := LakePlan{From: from, To: to, Validity: validity, Holes: l.holes(), Raised: l.raised()}
	var others []LakePiece
	for _, piece := range l.pieces() {
		switch {
		case piece.ClickedMax.Before(from.Start().Add(-validity - issueSkew)): // its impressions cannot be clicked any more
		case piece.ClickedMax.Before(from.Start()) || !piece.ClickedMin.Before(to.Start()):
			others = append(others, piece)
		default:
			plan.Candidates = append(plan.Candidates, piece)
		}
	}
	last := plan.lastCandidates()
	for _, piece := range others {
		if piece.ClickedMax.Before(from.Start()) || last.behind(piece, plan.Raised) {
			plan.Others = append(plan.Others, piece)
		}
	}
	return plan
}

// pieces are all objects, the tail's too. An object that the archive and the
// tail both have a part of is read twice, which changes nothing: the same click
// at the same offset.
func (l Lake) pieces() []LakePiece {
	var pieces []LakePiece
	for _, m := range l.Manifests {
		for _, r := range m.Ranges {
			for _, o := range r.Objects {
				pieces = append(pieces, LakePiece{r.Partition, o})
			}
		}
	}
	if l.Tail == nil {
		return pieces
	}
	for _, o := range l.Tail.Objects {
		partition, _, ok := parseLakeObjectPath(o.Path)
		if !ok {
			partition = -1 // of any: see lastCandidates
		}
		pieces = append(pieces, LakePiece{partition, o})
	}
	return pieces
}

// holes are offsets below Archived that neither manifests nor tail account for:
// what Kafka dropped, and, if the lake begins here, all that was before it.
func (l Lake) holes() []Hole {
	var holes []Hole
	for i, m := range l.Manifests {
		for _, r := range m.Ranges {
			if i == 0 && l.Begins {
				holes = appendHole(holes, r.Partition, 0, r.First)
			} else if r.Lost != nil {
				holes = appendHole(holes, r.Partition, r.Lost.First, r.Lost.Next)
			}
		}
	}
	if l.Tail == nil {
		return holes
	}
	archived := Lake{Manifests: l.Manifests}.Archived()
	for partition, first := range l.Tail.First {
		next := int64(0)
		if partition < len(archived) {
			next = archived[partition]
		}
		holes = appendHole(holes, int32(partition), next, first)
	}
	return holes
}

func appendHole(holes []Hole, partition int32, first, next int64) []Hole {
	if first >= next {
		return holes
	}
	return append(holes, Hole{partition, OffsetSpan{first, next}})
}

func (l Lake) raised() bool {
	counts := map[int]bool{}
	for _, m := range l.Manifests {
		counts[len(m.Ranges)] = true
	}
	if l.Tail != nil {
		counts[len(l.Tail.Next)] = true
	}
	return len(counts) > 1
}

// lastCandidates is how far behind the span's clicks may be appended.
type lastCandidates struct {
	next     map[int32]int64 // the first offset behind all, by partition
	appended time.Time       // the latest
}

func (p LakePlan) lastCandidates() lastCandidates {
	last := lastCandidates{next: map[int32]int64{}}
	for _, c := range p.Candidates {
		last.next[c.Partition] = max(last.next[c.Partition], c.Next)
		if c.AppendedMax.After(last.appended) {
			last.appended = c.AppendedMax
		}
	}
	return last
}

// behind reports whether a click of the span may stand behind one of piece,
// whose clicks are all later: it was written to a journal and drained late.
func (l lastCandidates) behind(piece LakePiece, raised bool) bool {
	_, unknown := l.next[-1]
	if raised || unknown || piece.Partition < 0 {
		return !piece.AppendedMin.After(l.appended)
	}
	return l.next[piece.Partition] > piece.First
}

// Issued is impressions by when they were issued: [From, Next), whole
// milliseconds.
type Issued struct{ From, Next time.Time }

// Holding are those of the pieces that may hold clicks of the impressions.
func (p LakePlan) Holding(pieces []LakePiece, issued Issued) []LakePiece {
	var holding []LakePiece
	for _, piece := range pieces {
		if !piece.ClickedMax.Before(issued.From.Add(-issueSkew)) && piece.ClickedMin.Before(issued.Next.Add(p.Validity+issueSkew)) {
			holding = append(holding, piece)
		}
	}
	return holding
}
