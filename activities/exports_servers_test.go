package activities_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
)

// exportRig exports tables of so many rows, which the test sets, into a real lake.
type exportRig struct {
	lake    *s3.Lake
	rows    map[click.ExportTable]int
	exports *activities.Exports
	env     *testsuite.TestActivityEnvironment
}

func newExportRig(t *testing.T) *exportRig {
	t.Helper()
	c := stacktest.Config(t)
	lake, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "bucket", lake.Drop)
	if _, err := lake.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	rig := &exportRig{lake: lake, rows: map[click.ExportTable]int{}}
	rig.exports = &activities.Exports{Lake: lake, Sources: map[click.ExportTable]activities.ExportSource{}}
	for _, table := range click.ExportTables() {
		rig.exports.Sources[table] = activities.NewExportSource(func(_ context.Context, visit func(int) error) error {
			for i := range rig.rows[table] {
				if err := visit(i); err != nil {
					return err
				}
			}
			return nil
		}, func(rows []int) ([]byte, error) { return fmt.Append(nil, table, rows), nil })
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	rig.env = suite.NewTestActivityEnvironment()
	rig.env.RegisterActivity(rig.exports)
	return rig
}

// export plays an export of a time; published is false when a newer one stays.
func (r *exportRig) export(t *testing.T, at time.Time) (published bool, err error) {
	t.Helper()
	in := activities.PublishExportInput{At: at}
	for _, table := range click.ExportTables() {
		in.Tables = append(in.Tables, attempts(t, r.env, r.exports.ExportTable, activities.ExportTableInput{At: at, Table: table}).Exported)
	}
	value, err := r.env.ExecuteActivity(r.exports.PublishExport, in)
	if err != nil {
		return false, err
	}
	var out activities.PublishExportResult
	if err := value.Get(&out); err != nil {
		t.Fatal(err)
	}
	return !out.Superseded, nil
}

func exportStart() time.Time { return time.Date(2026, 11, 25, 9, 52, 5, 0, time.UTC) }

func TestAnExportNamesFilesThatAreThere(t *testing.T) {
	rig := newExportRig(t)
	rig.rows[click.ExportAds], rig.rows[click.ExportAPIKeys] = 100_001, 3
	for range 2 { // a retry writes the same
		if published, err := rig.export(t, exportStart()); err != nil || !published {
			t.Fatal(published, err)
		}
	}
	e, err := rig.lake.LastExport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ads := e.Of(click.ExportAds); len(ads.Files) != 2 || ads.Rows != 100_001 || e.Of(click.ExportAPIKeys).Rows != 3 || len(e.Of(click.ExportFanOuts).Files) != 0 {
		t.Errorf("the export is %+v", e)
	}
	for _, f := range e.Of(click.ExportAPIKeys).Files {
		if content, err := rig.lake.ReadExportFile(t.Context(), f); err != nil || string(content) != "api_keys[0 1 2]" {
			t.Errorf("%s: %q, %v", f.Path, content, err)
		}
	}
}

func TestAnExportOfAStoreThatLostRowsIsRefused(t *testing.T) {
	rig := newExportRig(t)
	rig.rows[click.ExportAds] = 5
	if _, err := rig.export(t, exportStart()); err != nil {
		t.Fatal(err)
	}
	rig.rows[click.ExportAds] = 4
	_, err := rig.export(t, exportStart().Add(time.Hour))
	var said *temporal.ApplicationError
	if !errors.As(err, &said) || said.Type() != activities.ErrorShrunk || !said.NonRetryable() || !strings.Contains(err.Error(), "4 rows of ads") {
		t.Errorf("fewer rows: %v", err)
	}
	if e, err := rig.lake.LastExport(t.Context()); err != nil || e.Rows() != 5 || !e.At.Equal(exportStart()) {
		t.Errorf("the last export is of %s with %d rows, %v", e.At, e.Rows(), err)
	}
}

func TestAnExportThatWasOvertakenLeavesTheNewer(t *testing.T) {
	rig := newExportRig(t)
	rig.rows[click.ExportAds] = 5
	if _, err := rig.export(t, exportStart().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if published, err := rig.export(t, exportStart()); err != nil || published {
		t.Errorf("published = %v, %v", published, err)
	}
}

func TestOldExportsAreDeletedAndTheLastStays(t *testing.T) {
	rig := newExportRig(t)
	rig.rows[click.ExportAds] = 1
	at := func(i int) time.Time { return exportStart().Add(time.Duration(i) * time.Hour) }
	if _, err := rig.export(t, at(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 30 { // none of these was finished
		attempts(t, rig.env, rig.exports.ExportTable, activities.ExportTableInput{At: at(1 + i), Table: click.ExportAds})
	}
	if out := attempts(t, rig.env, rig.exports.PruneExports, activities.PruneExportsInput{}); out.Removed != 0 {
		t.Errorf("%d were deleted, the one that would be restored among them", out.Removed)
	}
	if _, err := rig.export(t, at(31)); err != nil {
		t.Fatal(err)
	}
	if out := attempts(t, rig.env, rig.exports.PruneExports, activities.PruneExportsInput{}); out.Removed != 8 {
		t.Errorf("%d were deleted, want 8 of 32", out.Removed)
	}
	left, err := rig.lake.Exports(t.Context())
	if err != nil || len(left) != 24 || !left[0].Equal(at(8)) || !left[23].Equal(at(31)) {
		t.Errorf("left are %v, %v", left, err)
	}
}
