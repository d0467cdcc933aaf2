package workflows

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
)

func exportEnvironment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := newEnvironment(t)
	env.RegisterActivity(&activities.Exports{})
	env.SetStartTime(time.Date(2026, 11, 25, 9, 52, 5, 123, time.UTC))
	return env
}

// exported is what a table became: one file of ten rows.
func exported(table click.ExportTable) click.ExportedTable {
	return click.ExportedTable{Table: table, Rows: 10, Files: []click.ExportFile{{Path: string(table), Rows: 10}}}
}

func exportsTables(env *testsuite.TestWorkflowEnvironment) {
	env.OnActivity(exports.ExportTable, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportTableInput) (activities.ExportTableResult, error) {
			return activities.ExportTableResult{Exported: exported(in.Table)}, nil
		}).Times(len(click.ExportTables()))
}

func TestAnExportPublishesEveryTableUnderTheTimeItBegan(t *testing.T) {
	env, at := exportEnvironment(t), time.Date(2026, 11, 25, 9, 52, 5, 0, time.UTC)
	exportsTables(env)
	want := activities.PublishExportInput{At: at}
	for _, table := range click.ExportTables() {
		want.Tables = append(want.Tables, exported(table))
	}
	env.OnActivity(exports.PublishExport, mock.Anything, want).Return(activities.PublishExportResult{}, nil).Once()
	env.OnActivity(exports.PruneExports, mock.Anything, mock.Anything).Return(activities.PruneExportsResult{Removed: 1}, nil).Once()
	env.ExecuteWorkflow(ExportCatalogue, ExportCatalogueInput{})
	var result ExportCatalogueResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	if want := (ExportCatalogueResult{At: at, Rows: int64(10 * len(want.Tables)), Files: len(want.Tables), Pruned: 1}); result != want {
		t.Errorf("result %+v, want %+v", result, want)
	}
	env.AssertExpectations(t)
}

func TestATableThatCannotBeReadIsTriedAgainAndThenNothingIsPublished(t *testing.T) {
	env, tries := exportEnvironment(t), 0
	began := env.Now()
	env.OnActivity(exports.ExportTable, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.ExportTableInput) (activities.ExportTableResult, error) {
			tries++
			return activities.ExportTableResult{}, click.ErrUnavailable
		})
	env.ExecuteWorkflow(ExportCatalogue, ExportCatalogueInput{}) // publishing is not expected: it would fail
	if err := env.GetWorkflowError(); err == nil || tries < 5 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	if took := env.Now().Sub(began); took > exportTimeout {
		t.Errorf("it took %v", took)
	}
}

func TestAStoreThatLostRowsFailsTheExportAtOnceAndPrunesNothing(t *testing.T) {
	env, asked := exportEnvironment(t), 0
	exportsTables(env)
	env.OnActivity(exports.PublishExport, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.PublishExportInput) (activities.PublishExportResult, error) {
			asked++
			return activities.PublishExportResult{}, temporal.NewNonRetryableApplicationError("it has lost some", activities.ErrorShrunk, nil)
		})
	env.ExecuteWorkflow(ExportCatalogue, ExportCatalogueInput{})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorShrunk || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestExportDetailsListWhatIsDone(t *testing.T) {
	details := exportDetails([]click.ExportedTable{exported(click.ExportAds)}, "exports api_keys")
	if lines := strings.Split(details, "\n"); !slices.Contains(lines, "| ads | 10 | 1 |") || lines[len(lines)-1] != "exports api_keys" {
		t.Error(details)
	}
}
