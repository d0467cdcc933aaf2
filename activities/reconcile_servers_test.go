package activities_test

import (
	"context"
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

// blankLedger has sealed nothing yet.
type blankLedger struct{}

func (blankLedger) LedgerTopic(context.Context) (string, error) { return "", nil }
func (blankLedger) NextVersion(context.Context) (uint64, error) { return 42, nil }

// commitAll says that the ingester has stored everything there is.
func (r *archiveRig) commitAll(t *testing.T) {
	t.Helper()
	_, _, bounds, err := r.admin.Bounds(t.Context(), r.now)
	if err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	for partition, b := range bounds {
		offsets.AddOffset(r.config.ClicksTopic(), int32(partition), b.Next, -1)
	}
	if err := kadm.NewClient(r.client).CommitAllOffsets(t.Context(), r.config.IngesterGroup(), offsets); err != nil {
		t.Fatal(err)
	}
}

// fixLake asks for the first hour of the rig's stream.
func (r *archiveRig) fixLake(t *testing.T) (click.LakeSnapshot, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	reconcile := &activities.Reconcile{
		Stream: r.admin, Lake: r.lake, Ledger: blankLedger{}, Validity: 24 * time.Hour, Lateness: 10 * time.Second, Now: func() time.Time { return r.now },
	}
	env.RegisterActivity(reconcile.FixLake)
	from := click.HourOf(archiveStart())
	value, err := env.ExecuteActivity(reconcile.FixLake, activities.FixLakeInput{From: from, To: click.HourEnd(from)})
	if err != nil {
		return click.LakeSnapshot{}, err
	}
	var out activities.FixLakeResult
	if err := value.Get(&out); err != nil {
		t.Fatal(err)
	}
	return out.Snapshot, nil
}

// failsWith checks an activity's error by its type and what it names.
func failsWith(t *testing.T, err error, kind, names string) {
	t.Helper()
	var said *temporal.ApplicationError
	if !errors.As(err, &said) || said.Type() != kind || !strings.Contains(said.Error(), names) {
		t.Errorf("the error is %v, want one of type %s that names %q", err, kind, names)
	}
}

func TestALakeIsFixedWhenItsHourIsStoredAndArchivedAndRefusedWhenItIsIncomplete(t *testing.T) {
	rig := newArchiveRig(t)
	clicks := rig.produce(t, rand.New(rand.NewPCG(11, 12)), archiveStart(), 70*time.Minute, 4000)
	end := click.HourEnd(click.HourOf(archiveStart())).Start()
	rig.now = end.Add(20 * time.Minute)
	a := &activities.Archive{Stream: rig.admin, Lake: rig.lake, Watch: rig.watch(), Encode: parquet.EncodeClicks, Now: func() time.Time { return rig.now }}
	_, err := rig.fixLake(t)
	failsWith(t, err, activities.ErrorNotReady, "waits for the ingester")
	rig.commitAll(t)
	_, err = rig.fixLake(t)
	failsWith(t, err, activities.ErrorNotReady, "waits for the archive")
	first := click.ArchiveWindowOf(archiveStart())
	for w := first; w.Start().Before(end); w = click.NextArchive(w) {
		playWindow(t, a, w)
	}
	_, err = rig.fixLake(t)
	failsWith(t, err, activities.ErrorNotReady, "waits for the archive")
	last := click.ArchiveWindowOf(end)
	playWindow(t, a, last)
	snapshot, err := rig.fixLake(t)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := rig.lake.Manifest(t.Context(), last)
	if err != nil {
		t.Fatal(err)
	}
	if *snapshot.Through != last || snapshot.Version != 42 || snapshot.Lost != 0 || len(snapshot.Archived) != archivePartitions {
		t.Errorf("the snapshot is %+v", snapshot)
	}
	for _, r := range manifest.Ranges {
		if snapshot.Archived[r.Partition] != r.Next {
			t.Errorf("partition %d counts as archived up to %d, the manifest ends at %d", r.Partition, snapshot.Archived[r.Partition], r.Next)
		}
	}
	manifests, begins, err := rig.lake.Manifests(t.Context(), click.WindowOf(first.Start().Add(-time.Hour)), last)
	if err != nil || !begins {
		t.Fatalf("the lake begins: %v, %v", begins, err)
	}
	rows := int64(0)
	for _, m := range manifests {
		rows += m.Rows()
	}
	if rows >= int64(clicks) || rows < int64(clicks)*8/10 {
		t.Errorf("%d rows are archived of %d", rows, clicks)
	}

	middle := manifests[4]
	object := middle.Ranges[1].Objects[0]
	content := rig.object(t, object.Path)
	if _, err := rig.lake.PutObject(t.Context(), object.Path, content[1:]); err != nil {
		t.Fatal(err)
	}
	_, err = rig.fixLake(t)
	failsWith(t, err, activities.ErrorLakeIncomplete, object.Path)
	if err := rig.lake.RemoveObject(t.Context(), object.Path); err != nil {
		t.Fatal(err)
	}
	_, err = rig.fixLake(t)
	failsWith(t, err, activities.ErrorLakeIncomplete, object.Path)
	if _, err := rig.lake.PutObject(t.Context(), object.Path, content); err != nil {
		t.Fatal(err)
	}
	path := "manifests/dt=2026-11-23/" + middle.Window.String() + ".json"
	if _, err := rig.lake.PutObject(t.Context(), path, []byte("{")); err != nil {
		t.Fatal(err)
	}
	_, err = rig.fixLake(t)
	failsWith(t, err, activities.ErrorLakeIncomplete, path)
	if err := rig.lake.RemoveObject(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	_, err = rig.fixLake(t)
	failsWith(t, err, activities.ErrorLakeIncomplete, middle.Window.String())
}
