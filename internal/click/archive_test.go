package click

import (
	"reflect"
	"testing"
	"time"
)

func TestArchiveWindowsBeginAtMultiplesOfFiveMinutes(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-23T10:05:00Z": "2026-11-23T10:05Z", "2026-11-23T10:09:59Z": "2026-11-23T10:05Z", "2026-11-23T23:59:59Z": "2026-11-23T23:55Z",
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		w := ArchiveWindowOf(at)
		if w.String() != want || !StartsArchive(w) || StartsArchive(w.Next()) {
			t.Errorf("%s lies in %s, want %s", text, w, want)
		}
		if end := NextArchive(w).Start(); !end.Equal(ArchiveEnd(w)) || end.Sub(w.Start()) != ArchiveLength {
			t.Errorf("%s is followed by %s", w, end)
		}
	}
}

func TestRangesContinueAndNameWhatWasLost(t *testing.T) {
	previous := []ArchivedRange{
		{PartitionRange: PartitionRange{Partition: 0, OffsetSpan: OffsetSpan{0, 10}}},
		{PartitionRange: PartitionRange{Partition: 1, OffsetSpan: OffsetSpan{0, 10}}},
		{PartitionRange: PartitionRange{Partition: 2, OffsetSpan: OffsetSpan{0, 10}}},
	}
	bounds := []StreamBounds{{0, 25}, {14, 25}, {30, 25}, {2, 3}}
	got, err := ContinueRanges(previous, bounds)
	want := []PartitionRange{
		{0, OffsetSpan{10, 25}, nil},
		{1, OffsetSpan{14, 25}, &OffsetSpan{10, 14}},
		{2, OffsetSpan{30, 30}, &OffsetSpan{10, 30}}, // all of the window and more is gone
		{3, OffsetSpan{2, 3}, nil},                   // a partition that was added
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ContinueRanges(previous, bounds[:2]); err == nil {
		t.Error("a stream with fewer partitions was taken for the same")
	}
}

func TestPiecesCoverASpanWithoutOverlap(t *testing.T) {
	for _, one := range []struct {
		span OffsetSpan
		want []OffsetSpan
	}{
		{OffsetSpan{5, 5}, nil},
		{OffsetSpan{5, 8}, []OffsetSpan{{5, 8}}},
		{OffsetSpan{5, 15}, []OffsetSpan{{5, 15}}},
		{OffsetSpan{5, 26}, []OffsetSpan{{5, 15}, {15, 25}, {25, 26}}},
	} {
		if got := one.span.Pieces(10); !reflect.DeepEqual(got, one.want) {
			t.Errorf("%v: %v, want %v", one.span, got, one.want)
		}
	}
}

func TestAManifestAccountsForEveryOffset(t *testing.T) {
	good := func() Manifest {
		return Manifest{Version: ManifestVersion, Ranges: []ArchivedRange{{
			PartitionRange: PartitionRange{OffsetSpan: OffsetSpan{10, 20}}, Rows: 7, NotClicks: 2, Empty: 1,
			Objects: []LakeObject{{OffsetSpan: OffsetSpan{10, 15}, Rows: 5}, {OffsetSpan: OffsetSpan{15, 20}, Rows: 2}},
		}}}
	}
	if err := good().Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Manifest){
		"another version":        func(m *Manifest) { m.Version++ },
		"an offset too few":      func(m *Manifest) { m.Ranges[0].Empty = 0 },
		"another partition":      func(m *Manifest) { m.Ranges[0].Partition = 1 },
		"objects that overlap":   func(m *Manifest) { m.Ranges[0].Objects[1].First = 14 },
		"an object outside":      func(m *Manifest) { m.Ranges[0].Objects[1].Next = 21 },
		"rows that do not agree": func(m *Manifest) { m.Ranges[0].Objects[0].Rows++ },
	} {
		m := good()
		if spoil(&m); m.Check() == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}
