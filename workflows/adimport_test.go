package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

func importPlan() activities.ImportPlan {
	return activities.ImportPlan{ID: "import-1", File: click.AdFile{Path: "imports/ads.csv", Format: click.AdsCSV}, Rows: -1, Version: 7}
}

// importEnvironment has a file of three chunks and two slices; one row of each
// chunk is refused.
func importEnvironment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := newEnvironment(t)
	env.RegisterActivity(&activities.AdImport{})
	env.RegisterActivity(&activities.Exports{})
	env.OnActivity(adImport.PlanImport, mock.Anything, activities.PlanImportInput{Object: "imports/ads.csv"}).Return(importPlan(), nil)
	env.OnActivity(adImport.LoadAds, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.LoadAdsInput) (activities.LoadAdsResult, error) {
			row := in.From.Row
			return activities.LoadAdsResult{
				Next: click.AdCursor{Row: row + 10, Offset: 100 * (row + 10)}, End: row == 20, Rows: 10, Staged: 9, Refused: 1,
				Listed: []click.RefusedRow{{Row: row + 1, Reason: "name is missing"}},
			}, nil
		})
	env.OnActivity(adImport.EndImport, mock.Anything, mock.Anything).Return(activities.EndImportResult{}, nil).Once()
	return env
}

// merges answers with two slices, of 20 and 7 rows.
func merges(env *testsuite.TestWorkflowEnvironment, updated int64) {
	env.OnActivity(adImport.MergeAds, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.MergeAdsInput) (activities.MergeAdsResult, error) {
			if in.After == 0 {
				return activities.MergeAdsResult{Through: 500, Rows: 20, Created: 20 - updated, Updated: updated}, nil
			}
			return activities.MergeAdsResult{Through: 1000, End: true, Rows: 7, Unchanged: 3, Newer: 2, Refused: 2,
				Listed: []click.RefusedRow{{Row: 9, AdID: 600, Reason: "there is no such advertiser"}, {Row: 8, AdID: 601, Reason: "ad_id is in row 3 already"}}}, nil
		})
}

func imported(t *testing.T, env *testsuite.TestWorkflowEnvironment, in ImportAdsInput) ImportAdsResult {
	t.Helper()
	env.ExecuteWorkflow(ImportAds, in)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var result ImportAdsResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAnImportTellsWhatBecameOfEveryRow(t *testing.T) {
	env := importEnvironment(t)
	merges(env, 5)
	env.OnActivity(adImport.AnnounceImport, mock.Anything, activities.AnnounceImportInput{Plan: importPlan()}).Return(activities.AnnounceImportResult{}, nil).Once()
	exports := 0
	env.OnWorkflow(ExportCatalogue, mock.Anything, mock.Anything).Return(ExportCatalogueResult{}, nil).Maybe()
	env.SetOnChildWorkflowStartedListener(func(*workflow.Info, workflow.Context, converter.EncodedValues) { exports++ })
	result := imported(t, env, ImportAdsInput{Object: "imports/ads.csv"})
	if want := (ImportCounts{Rows: 30, Created: 15, Updated: 5, Unchanged: 3, Newer: 2, Refused: 5}); result.ImportCounts != want {
		t.Errorf("counts are %+v, want %+v", result.ImportCounts, want)
	}
	if len(result.Listed) != 5 || result.RefusedRows != "rejects/imports/ads.csv/import-1" || exports != 1 {
		t.Errorf("listed %v in %s, %d exports", result.Listed, result.RefusedRows, exports)
	}
	value, err := env.QueryWorkflow(ProgressQuery)
	if err != nil {
		t.Fatal(err)
	}
	var progress ImportProgress
	if err := value.Get(&progress); err != nil || progress.State != importDone || progress.Staged != 0 || progress.Rows != 30 {
		t.Errorf("progress %+v, %v", progress, err)
	}
	env.AssertExpectations(t)
}

func TestADryRunAndAnImportOfNothingNewAnnounceAndExportNothing(t *testing.T) {
	env := importEnvironment(t)
	env.OnActivity(adImport.MergeAds, mock.Anything, mock.MatchedBy(func(in activities.MergeAdsInput) bool { return in.Plan.DryRun })).Return(
		activities.MergeAdsResult{Through: 500, End: true, Rows: 27, Created: 7, Updated: 20}, nil)
	if result := imported(t, env, ImportAdsInput{Object: "imports/ads.csv", DryRun: true}); result.Created != 7 || result.Updated != 20 {
		t.Errorf("result %+v", result)
	}
	env = importEnvironment(t)
	env.OnActivity(adImport.MergeAds, mock.Anything, mock.Anything).Return(activities.MergeAdsResult{Through: 500, End: true, Rows: 27, Unchanged: 27}, nil)
	if result := imported(t, env, ImportAdsInput{Object: "imports/ads.csv"}); result.Unchanged != 27 {
		t.Errorf("result %+v", result)
	}
}

func TestAnImportWaitsForAServerThatIsAway(t *testing.T) {
	env, tries := importEnvironment(t), 0
	env.OnActivity(adImport.MergeAds, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.MergeAdsInput) (activities.MergeAdsResult, error) {
			if tries++; tries < 8 {
				return activities.MergeAdsResult{}, click.ErrUnavailable
			}
			return activities.MergeAdsResult{Through: 500, End: true, Rows: 27, Unchanged: 27}, nil
		})
	imported(t, env, ImportAdsInput{Object: "imports/ads.csv"})
	if tries != 8 {
		t.Errorf("%d tries", tries)
	}
}

func TestAStoreThatLostWhatWasStagedFailsTheImport(t *testing.T) {
	env := importEnvironment(t)
	env.OnActivity(adImport.MergeAds, mock.Anything, mock.Anything).Return(activities.MergeAdsResult{Through: 500, End: true, Rows: 20, Created: 20}, nil)
	env.ExecuteWorkflow(ImportAds, ImportAdsInput{Object: "imports/ads.csv"})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorVerification || !strings.Contains(err.Error(), "30 rows were read, and of 23") {
		t.Errorf("it ended with %v", err)
	}
	env.AssertExpectations(t) // what was staged is forgotten all the same
}

func TestAReplacedObjectFailsTheImportAtOnce(t *testing.T) {
	env := newEnvironment(t)
	env.RegisterActivity(&activities.AdImport{})
	env.OnActivity(adImport.PlanImport, mock.Anything, mock.Anything).Return(importPlan(), nil)
	tries := 0
	env.OnActivity(adImport.LoadAds, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.LoadAdsInput) (activities.LoadAdsResult, error) {
			tries++
			return activities.LoadAdsResult{}, temporal.NewNonRetryableApplicationError("replaced", activities.ErrorReplaced, nil)
		})
	env.OnActivity(adImport.EndImport, mock.Anything, mock.Anything).Return(activities.EndImportResult{}, nil).Once()
	env.ExecuteWorkflow(ImportAds, ImportAdsInput{Object: "imports/ads.csv"})
	if err := env.GetWorkflowError(); errorType(err) != activities.ErrorReplaced || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
	env.AssertExpectations(t)
}

func TestAnImportsInputIsReadWholeOrNotAtAll(t *testing.T) {
	for input, want := range map[string]string{
		`{"object":"ads.csv","dryrun":true}`: "dryrun",
		`{}`:                                 "no object given",
		`{"object":"ads.xlsx"}`:              "ends neither in .parquet",
		`"ads.csv"`:                          "cannot be read",
	} {
		var in ImportAdsInput
		if err := json.Unmarshal([]byte(input), &in); err != nil {
			t.Fatal(err)
		}
		if err := in.check(); errorType(err) != activities.ErrorBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", input, err)
		}
	}
}

func TestDetailsOfAnImportShowCountsAndTheFirstRefusals(t *testing.T) {
	i := &adImporting{progress: ImportProgress{Object: "a.csv", DryRun: true, State: importReads, All: -1, Staged: 9, ImportCounts: ImportCounts{Rows: 10, Refused: 1}}}
	i.refuse(0, []click.RefusedRow{{Row: 3, AdID: 5, Reason: "a|b"}})
	lines := strings.Split(i.details(), "\n")
	if lines[0] != "**a.csv**, a dry run: **reads the file**" || lines[1] != "10 rows read, 9 of them still to be written" ||
		!slices.Contains(lines, "| 0 | 0 | 0 | 0 | 1 |") || !slices.Contains(lines, "| 3 | 5 | a/b |") {
		t.Errorf("details are %q", lines)
	}
	for row := range 300 {
		i.refuse(1, []click.RefusedRow{{Row: int64(row)}})
	}
	if len(i.listed) != refusedListedMax || i.progress.Refused != 301 {
		t.Errorf("%d are listed of %d", len(i.listed), i.progress.Refused)
	}
}

func TestASyncGoesOnUntilTheEndOrUntilTheCacheIsFull(t *testing.T) {
	for _, full := range []bool{false, true} {
		env := newEnvironment(t)
		env.RegisterActivity(&activities.AdSync{})
		tries := 0
		env.OnActivity(adSync.SyncAds, mock.Anything, mock.Anything).Return(
			func(_ context.Context, in activities.SyncAdsInput) (activities.SyncAdsResult, error) {
				tries++
				if tries%2 == 0 {
					return activities.SyncAdsResult{}, errors.New("the cache is away")
				}
				last := in.After == 200
				return activities.SyncAdsResult{Through: in.After + 100, Ads: 50, End: last && !full, Full: last && full}, nil
			})
		env.ExecuteWorkflow(SyncCatalogue, SyncCatalogueInput{})
		var result SyncCatalogueResult
		if err := env.GetWorkflowResult(&result); err != nil {
			t.Fatal(err)
		}
		if want := (SyncCatalogueResult{Ads: 150, Full: full}); result != want {
			t.Errorf("result %+v, want %+v", result, want)
		}
		value, err := env.QueryWorkflow(ProgressQuery)
		if err != nil {
			t.Fatal(err)
		}
		var progress SyncProgress
		if err := value.Get(&progress); err != nil || progress.Through != 300 || progress.Ads != 150 {
			t.Errorf("progress %+v, %v", progress, err)
		}
	}
}
