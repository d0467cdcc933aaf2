package click

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// lakeOf makes a lake of windows, each with one object of each partition whose
// clicks were clicked in it.
func lakeOf(first string, windows int, partitions ...int64) Lake {
	w, err := ParseWindow(first)
	if err != nil {
		panic(err)
	}
	next := slices.Clone(partitions)
	lake := Lake{Begins: true}
	for range windows {
		m := Manifest{Version: ManifestVersion, TopicID: "id", Window: w, End: ArchiveEnd(w)}
		for p := range next {
			span := OffsetSpan{next[p], next[p] + 100}
			next[p] = span.Next
			m.Ranges = append(m.Ranges, ArchivedRange{
				PartitionRange: PartitionRange{Partition: int32(p), OffsetSpan: span}, Rows: 100, Objects: []LakeObject{{
					Path: LakeObjectPath(w, int32(p), span), OffsetSpan: span, Rows: 100,
					ClickedMin: w.Start(), ClickedMax: m.End.Add(-time.Second), AppendedMin: w.Start(), AppendedMax: m.End.Add(-time.Second),
				}},
			})
		}
		lake.Manifests = append(lake.Manifests, m)
		w = NextArchive(w)
	}
	return lake
}

func (l Lake) object(window, partition int) *LakeObject {
	return &l.Manifests[window].Ranges[partition].Objects[0]
}

func windowAt(text string) Window {
	w, err := ParseWindow(text)
	if err != nil {
		panic(err)
	}
	return w
}

func TestAPlanReadsTheSpansObjectsAndThoseBeforeIt(t *testing.T) {
	lake := lakeOf("2026-11-23T08:00Z", 48, 0, 0) // until noon
	plan := lake.Plan(windowAt("2026-11-23T10:00Z"), windowAt("2026-11-23T11:00Z"), 24*time.Hour)
	if len(plan.Candidates) != 24 || len(plan.Others) != 48 || len(plan.Holes) != 0 || plan.Raised {
		t.Errorf("%d candidates and %d others, want an hour's 24 and two earlier hours' 48; holes %v, raised %v", len(plan.Candidates), len(plan.Others), plan.Holes, plan.Raised)
	}
	short := lake.Plan(windowAt("2026-11-23T10:00Z"), windowAt("2026-11-23T11:00Z"), 28*time.Minute)
	if len(short.Others) != 12 { // 29 minutes back
		t.Errorf("with tokens of 28 minutes it reads %d others", len(short.Others))
	}
}

func TestALateClickBringsInWhatLiesBetween(t *testing.T) {
	lake := lakeOf("2026-11-23T10:00Z", 36, 0, 0)
	*lake.object(30, 1) = func(o LakeObject) LakeObject { // drained from a journal at half past twelve
		o.ClickedMin = windowAt("2026-11-23T10:20Z").Start()
		return o
	}(*lake.object(30, 1))
	plan := lake.Plan(windowAt("2026-11-23T10:00Z"), windowAt("2026-11-23T11:00Z"), 24*time.Hour)
	if len(plan.Candidates) != 25 || len(plan.Others) != 18 { // of partition 1 the windows from eleven on before it
		t.Errorf("%d candidates and %d others, want 25 and 18", len(plan.Candidates), len(plan.Others))
	}
	for _, piece := range plan.Others {
		if piece.Partition != 1 || piece.First >= lake.object(30, 1).First {
			t.Errorf("it reads %s", piece.Path)
		}
	}
}

func TestOnlyObjectsThatCanHoldAnImpressionAreReadForIt(t *testing.T) {
	lake := lakeOf("2026-11-23T08:00Z", 36, 0)
	plan := lake.Plan(windowAt("2026-11-23T10:00Z"), windowAt("2026-11-23T11:00Z"), 24*time.Hour)
	issued := Issued{windowAt("2026-11-23T10:30Z").Start(), windowAt("2026-11-23T10:40Z").Start()}
	if got := len(plan.Holding(plan.Candidates, issued)); got != 7 { // from 10:25 on, for clocks differ
		t.Errorf("%d of the hour's objects can hold it, want 7", got)
	}
	if got := len(plan.Holding(plan.Others, issued)); got != 0 {
		t.Errorf("%d earlier objects can hold it", got)
	}
}

func TestWhatNoManifestAccountsForIsAHole(t *testing.T) {
	lake := lakeOf("2026-11-23T10:00Z", 3, 50, 0)
	lake.Manifests[1].Ranges[1].Lost, lake.Manifests[1].Ranges[1].First = &OffsetSpan{100, 130}, 130
	lake.Tail = &LakeTail{TopicID: "id", First: Offsets{360, 250}, Next: Offsets{400, 390}}
	if err := lake.Check(); err != nil {
		t.Fatal(err)
	}
	want := []Hole{{0, OffsetSpan{0, 50}}, {1, OffsetSpan{100, 130}}, {0, OffsetSpan{350, 360}}}
	plan := lake.Plan(windowAt("2026-11-23T10:00Z"), windowAt("2026-11-23T10:10Z"), time.Hour)
	if !slices.Equal(plan.Holes, want) || plan.Lost() != 40 {
		t.Errorf("holes are %v with %d lost, want %v with 40", plan.Holes, plan.Lost(), want)
	}
	if archived := lake.Archived(); !slices.Equal(archived, Offsets{400, 390}) {
		t.Errorf("archived up to %v", archived)
	}
}

func TestALakeWithAGapIsIncomplete(t *testing.T) {
	for name, harm := range map[string]func(*Lake){
		"a window":          func(l *Lake) { l.Manifests = slices.Delete(l.Manifests, 1, 2) },
		"offsets":           func(l *Lake) { l.Manifests[1].Ranges[0].First += 5 },
		"a partition":       func(l *Lake) { l.Manifests[2].Ranges = l.Manifests[2].Ranges[:1] },
		"where it was lost": func(l *Lake) { l.Manifests[1].Ranges[0].Lost = &OffsetSpan{90, 100} },
	} {
		lake := lakeOf("2026-11-23T10:00Z", 4, 0, 0)
		if err := lake.Check(); err != nil {
			t.Fatal(err)
		}
		harm(&lake)
		if err := lake.Check(); !errors.Is(err, ErrLakeIncomplete) {
			t.Errorf("%s is missing: %v", name, err)
		}
	}
	other := lakeOf("2026-11-23T10:00Z", 4, 0)
	other.Manifests[2].TopicID = "another"
	if err := other.Check(); !errors.Is(err, ErrOtherTopic) {
		t.Errorf("a lake of two topics: %v", err)
	}
}

func TestAMorePartitionedStreamIsNoticed(t *testing.T) {
	lake := lakeOf("2026-11-23T10:00Z", 4, 0, 0)
	lake.Manifests[0].Ranges = lake.Manifests[0].Ranges[:1]
	if err := lake.Check(); err != nil {
		t.Fatal(err)
	}
	if plan := lake.Plan(windowAt("2026-11-23T10:00Z"), windowAt("2026-11-23T10:10Z"), time.Hour); !plan.Raised {
		t.Error("a partition was added and nobody noticed")
	}
}
