package click

import (
	"errors"
	"testing"
	"time"
)

func TestOnlyAnObjectWhoseOffsetsAreAllAccountedForIsALeftover(t *testing.T) {
	w := ArchiveWindowOf(time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC))
	path := func(partition int32, first, next int64) string {
		return LakeObjectPath(w, partition, OffsetSpan{First: first, Next: next})
	}
	manifest := func(partition int32, first, next int64, lost *OffsetSpan, objects ...string) Manifest {
		r := ArchivedRange{PartitionRange: PartitionRange{Partition: partition, OffsetSpan: OffsetSpan{First: first, Next: next}, Lost: lost}}
		for _, o := range objects {
			r.Objects = append(r.Objects, LakeObject{Path: o})
		}
		return Manifest{TopicID: "id", Window: w, Ranges: []ArchivedRange{r}}
	}
	var a Accounted
	for _, m := range []Manifest{
		manifest(0, 0, 10, nil, path(0, 0, 10)),
		manifest(0, 10, 25, nil, path(0, 10, 25)),
		manifest(0, 30, 40, &OffsetSpan{First: 25, Next: 30}, path(0, 30, 40)),
		manifest(1, 7, 7, nil),
	} {
		if err := a.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	for object, want := range map[string]struct{ named, covered bool }{
		path(0, 0, 10):  {true, true},
		path(0, 5, 20):  {false, true}, // across two manifests
		path(0, 0, 25):  {false, true},
		path(0, 20, 26): {false, false}, // into the hole
		path(0, 25, 30): {false, false}, // all of the hole: it may be brought back by hand
		path(0, 35, 41): {false, false}, // not archived yet
		path(1, 6, 7):   {false, false},
		path(2, 0, 10):  {false, false}, // a partition nobody knows
		"clicks/dt=2026-11-23/hour=10/clicks-0-0-9.parquet.tmp": {false, false},
		"clicks/dt=2026-11-23/hour=10/clicks-0-00-9.parquet":    {false, false},
		"clicks/dt=2026-11-23/hour=10/clicks-0-9-0.parquet":     {false, false},
		"clicks/dt=2026-11-23/hour=10/notes.txt":                {false, false},
	} {
		if named, covered := a.Names(object), a.Covers(object); named != want.named || covered != want.covered {
			t.Errorf("%s: named %v, covered %v", object, named, covered)
		}
	}
	other := manifest(0, 40, 50, nil)
	other.TopicID = "another"
	if err := a.Add(other); !errors.Is(err, ErrOtherTopic) {
		t.Errorf("a manifest of another topic: %v", err)
	}
	if nothing := (Accounted{}); nothing.Names(path(0, 0, 10)) || nothing.Covers(path(0, 0, 10)) {
		t.Error("without manifests something is accounted for")
	}
}
