package activities_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
)

// leftoverRig is a real lake of two archive windows with a hole between them.
type leftoverRig struct {
	lake      *s3.Lake
	leftovers *activities.Leftovers
	env       *testsuite.TestActivityEnvironment
	now       time.Time
	window    click.Window
}

func newLeftoverRig(t *testing.T) *leftoverRig {
	t.Helper()
	lake, err := s3.Open(stacktest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "bucket", lake.Drop)
	if _, err := lake.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	rig := &leftoverRig{lake: lake, now: time.Now(), window: click.ArchiveWindowOf(archiveStart())}
	rig.leftovers = &activities.Leftovers{Lake: lake, Now: func() time.Time { return rig.now }}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	rig.env = suite.NewTestActivityEnvironment()
	rig.env.RegisterActivity(rig.leftovers)
	rig.publish(t, rig.window, 0, 10, nil)
	rig.publish(t, click.NextArchive(rig.window), 15, 30, &click.OffsetSpan{First: 10, Next: 15})
	return rig
}

// put writes an object of the first window's hour and returns its path.
func (r *leftoverRig) put(t *testing.T, first, next int64) click.LakeObject {
	t.Helper()
	o := click.LakeObject{OffsetSpan: click.OffsetSpan{First: first, Next: next}, Rows: next - first, Bytes: 5}
	o.Path = click.LakeObjectPath(r.window, 0, o.OffsetSpan)
	var err error
	if o.SHA256, err = r.lake.PutObject(t.Context(), o.Path, []byte("click")); err != nil {
		t.Fatal(err)
	}
	return o
}

func (r *leftoverRig) publish(t *testing.T, w click.Window, first, next int64, lost *click.OffsetSpan) {
	t.Helper()
	o := r.put(t, first, next)
	m := click.Manifest{Version: click.ManifestVersion, Topic: "clicks", TopicID: "id", Window: w, End: click.ArchiveEnd(w), Ranges: []click.ArchivedRange{{
		PartitionRange: click.PartitionRange{OffsetSpan: o.OffsetSpan, Lost: lost}, Rows: o.Rows, Objects: []click.LakeObject{o},
	}}}
	if err := r.lake.PublishManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (r *leftoverRig) paths(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := r.lake.EachClickObject(t.Context(), r.window.Start(), func(path string, _ time.Time, _ int64) error {
		paths = append(paths, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestOnlyOldObjectsThatNoManifestWillEverNameAreDeleted(t *testing.T) {
	rig := newLeftoverRig(t)
	leftover := []string{rig.put(t, 0, 5).Path, rig.put(t, 20, 30).Path}
	kept := []string{rig.put(t, 10, 15).Path, rig.put(t, 5, 15).Path, rig.put(t, 30, 40).Path}
	notes := "clicks/dt=2026-11-23/hour=10/notes.txt"
	if _, err := rig.lake.PutObject(t.Context(), notes, []byte("mine")); err != nil {
		t.Fatal(err)
	}
	all, in := rig.paths(t), activities.RemoveLeftoversInput{Day: "2026-11-23"}
	if out := attempts(t, rig.env, rig.leftovers.RemoveLeftovers, in); out.Removed != 0 || out.Objects != 8 || len(rig.paths(t)) != 8 {
		t.Errorf("while they are young: %+v", out)
	}
	rig.now = time.Now().Add(25 * time.Hour)
	if out := attempts(t, rig.env, rig.leftovers.RemoveLeftovers, in); out != (activities.RemoveLeftoversResult{Objects: 8, Removed: 2, Bytes: 10, Kept: 4}) {
		t.Errorf("once they are old: %+v", out)
	}
	left := rig.paths(t)
	for _, path := range all {
		if slices.Contains(left, path) == slices.Contains(leftover, path) {
			t.Errorf("%s: is there %v", path, slices.Contains(left, path))
		}
	}
	if !slices.Contains(left, kept[0]) || !slices.Contains(left, notes) {
		t.Errorf("left are %v", left)
	}
	if out := attempts(t, rig.env, rig.leftovers.RemoveLeftovers, in); out != (activities.RemoveLeftoversResult{Objects: 6, Kept: 4}) {
		t.Errorf("again: %+v", out)
	}
}

func TestOnlyDaysWithOldObjectsAreLookedAtTheNewestFirstKept(t *testing.T) {
	rig := newLeftoverRig(t)
	for _, day := range []string{"2026-11-21", "2026-11-22", "2026-11-24"} {
		if _, err := rig.lake.PutObject(t.Context(), "clicks/dt="+day+"/hour=00/clicks-0-0-0.parquet", []byte("click")); err != nil {
			t.Fatal(err)
		}
	}
	rig.now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for limit, want := range map[int][]string{10: {"2026-11-21", "2026-11-22", "2026-11-23"}, 2: {"2026-11-22", "2026-11-23"}} {
		out := attempts(t, rig.env, rig.leftovers.ListLeftoverDays, activities.ListLeftoverDaysInput{Limit: limit})
		if !slices.Equal(out.Days, want) {
			t.Errorf("at most %d: %v", limit, out.Days)
		}
	}
}

func TestWhatBackfillsStagedIsDeletedAfterADay(t *testing.T) {
	rig := newLeftoverRig(t)
	for _, run := range []string{"one", "another"} {
		if _, err := rig.lake.PutObject(t.Context(), click.StagedObjectPath(run, 0, click.OffsetSpan{First: 0, Next: 9}), []byte("click")); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []struct {
		after   time.Duration
		removed int
	}{{23 * time.Hour, 0}, {25 * time.Hour, 2}, {25 * time.Hour, 0}} {
		rig.now = time.Now().Add(one.after)
		value, err := rig.env.ExecuteActivity(rig.leftovers.RemoveStaged, activities.RemoveStagedInput{})
		if err != nil {
			t.Fatal(err)
		}
		var out activities.RemoveStagedResult
		if err := value.Get(&out); err != nil || out.Removed != one.removed {
			t.Errorf("after %v %+v were removed, %v", one.after, out, err)
		}
	}
	if paths := rig.paths(t); len(paths) != 2 {
		t.Errorf("of the lake there is %v", paths)
	}
}
