package activities_test

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/parquet"
)

// tailRig is an archive rig of which the first window is archived.
type tailRig struct {
	*archiveRig
	archive *activities.Archive
	env     *testsuite.TestActivityEnvironment
}

func newTailRig(t *testing.T) *tailRig {
	t.Helper()
	rig := newArchiveRig(t)
	rig.produce(t, rand.New(rand.NewPCG(11, 12)), archiveStart(), 7*time.Minute, 1000)
	first := click.ArchiveWindowOf(archiveStart())
	rig.now = archiveStart().Add(8 * time.Minute)
	a := &activities.Archive{
		Stream: rig.admin, Progress: rig.admin, Lake: rig.lake, Watch: rig.watch(), Encode: parquet.EncodeClicks,
		Lateness: 10 * time.Second, Now: func() time.Time { return rig.now },
	}
	playWindow(t, a, first)
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	return &tailRig{archiveRig: rig, archive: a, env: env}
}

// commit has the ingester's group have stored all but the last back records of
// each partition.
func (r *tailRig) commit(t *testing.T, back int64) click.Offsets {
	t.Helper()
	_, _, bounds, err := r.admin.Bounds(t.Context(), r.now)
	if err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	committed := make(click.Offsets, len(bounds))
	for partition, b := range bounds {
		committed[partition] = b.Next - back
		offsets.AddOffset(r.config.ClicksTopic(), int32(partition), committed[partition], -1)
	}
	if err := kadm.NewClient(r.client).CommitAllOffsets(t.Context(), r.config.IngesterGroup(), offsets); err != nil {
		t.Fatal(err)
	}
	return committed
}

func (r *tailRig) stage(before click.Window) (click.LakeTail, error) {
	var out activities.StageTailResult
	value, err := r.env.ExecuteActivity(r.archive.StageTail, activities.StageTailInput{Before: before, Run: "run"})
	if err == nil {
		err = value.Get(&out)
	}
	return out.Tail, err
}

// staged is how many objects lie there.
func (r *tailRig) staged(t *testing.T) int {
	t.Helper()
	count := 0
	err := r.lake.EachStagedObject(t.Context(), click.StagedFolder("run"), func(string, time.Time, int64) error {
		count++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func minuteAfter(start time.Time, after time.Duration) click.Window {
	return click.WindowOf(start.Add(after))
}

func TestATailIsWhatIsStoredAndNotArchived(t *testing.T) {
	rig := newTailRig(t)
	manifest, err := rig.lake.Manifest(t.Context(), click.ArchiveWindowOf(archiveStart()))
	if err != nil {
		t.Fatal(err)
	}
	committed := rig.commit(t, 3)
	tail, err := rig.stage(minuteAfter(archiveStart(), 6*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for _, o := range tail.Objects {
		rows += o.Rows
		if err := rig.lake.CheckObject(t.Context(), o); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(o.Path, "staging/backfill/run/clicks-") {
			t.Errorf("an object lies at %s", o.Path)
		}
	}
	for partition, r := range manifest.Ranges {
		if tail.First[partition] != r.Next || tail.Next[partition] != committed[partition] {
			t.Errorf("partition %d: staged from %d to %d, archived to %d, committed %d", partition, tail.First[partition], tail.Next[partition], r.Next, committed[partition])
		}
	}
	offsets := int64(0)
	for partition := range tail.First {
		offsets += tail.Next[partition] - tail.First[partition]
	}
	if rows == 0 || rows >= offsets || tail.TopicID != manifest.TopicID { // every tenth record is no click
		t.Errorf("%d rows of %d offsets, topic %s", rows, offsets, tail.TopicID)
	}
	again, err := rig.stage(minuteAfter(archiveStart(), 6*time.Minute))
	if err != nil || len(again.Objects) != len(tail.Objects) || again.Objects[0] != tail.Objects[0] || rig.staged(t) != len(tail.Objects) {
		t.Errorf("staged again: %+v, %v", again, err)
	}
	if _, err := rig.env.ExecuteActivity(rig.archive.RemoveTail, activities.RemoveTailInput{Run: "run"}); err != nil || rig.staged(t) != 0 {
		t.Errorf("%d objects are left, %v", rig.staged(t), err)
	}
}

func TestNothingIsStagedOfWhatTheArchiveHas(t *testing.T) {
	rig := newTailRig(t)
	rig.commit(t, 0)
	if tail, err := rig.stage(minuteAfter(archiveStart(), time.Minute)); err != nil || len(tail.Objects) > 0 || rig.staged(t) != 0 {
		t.Errorf("%+v, %v", tail, err)
	}
}

func TestATailWaitsUntilItsMinutesAreOverAndStored(t *testing.T) {
	rig := newTailRig(t)
	rig.commit(t, 500)
	for sentence, before := range map[string]click.Window{
		"are open until 2026-11-23T10:16:10Z": minuteAfter(archiveStart(), 9*time.Minute),
		"waits for the ingester":              minuteAfter(archiveStart(), 7*time.Minute),
	} {
		_, err := rig.stage(before)
		var said *temporal.ApplicationError
		if !errors.As(err, &said) || said.Type() != activities.ErrorNotReady || !strings.Contains(said.Message(), sentence) {
			t.Errorf("%s: %v", before, err)
		}
	}
}

func TestWithoutAnArchiveTheWholeStreamIsTheTail(t *testing.T) {
	rig := newArchiveRig(t)
	clicks := rig.produce(t, rand.New(rand.NewPCG(13, 14)), archiveStart(), time.Minute, 300)
	rig.now = archiveStart().Add(2 * time.Minute)
	a := &activities.Archive{Stream: rig.admin, Progress: rig.admin, Lake: rig.lake, Encode: parquet.EncodeClicks, Now: func() time.Time { return rig.now }}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	whole := &tailRig{archiveRig: rig, archive: a, env: suite.NewTestActivityEnvironment()}
	whole.env.RegisterActivity(a)
	whole.commit(t, 0)
	tail, err := whole.stage(minuteAfter(archiveStart(), time.Minute))
	rows := 0
	for _, o := range tail.Objects {
		rows += int(o.Rows)
	}
	if err != nil || rows != clicks {
		t.Errorf("%d of %d clicks are staged, %v", rows, clicks, err)
	}
}
