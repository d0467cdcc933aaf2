package workflows

import (
	"errors"
	"fmt"
	"path"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// JobImport is the job of ImportAds.
const JobImport Job = "import"

const importExample = `the input is {"object":"imports/ads.parquet","dry_run":true}`

// refusedListedMax is how many refused rows a result lists.
const refusedListedMax = 100

var adImport *activities.AdImport // a typed nil: it only names the activities

// ImportAdsInput is what an operator gives: {"object":"imports/ads.parquet","dry_run":true}.
type ImportAdsInput struct {
	Object string `json:"object"`            // in the bucket, .parquet, .csv or .csv.gz
	DryRun bool   `json:"dry_run,omitempty"` // only look

	fault string
}

// UnmarshalJSON never fails; a fault is told by the workflow.
func (in *ImportAdsInput) UnmarshalJSON(text []byte) error {
	type fields ImportAdsInput
	in.fault = readInput(text, (*fields)(in))
	return nil
}

func (in *ImportAdsInput) check() error {
	switch {
	case in.fault != "":
		return activities.BadInput(in.fault + "; " + importExample)
	case in.Object == "":
		return activities.BadInput("no object given; " + importExample)
	}
	if _, err := click.AdFormatOf(in.Object); err != nil {
		return activities.BadInput(err.Error() + "; " + importExample)
	}
	return nil
}

// ImportCounts is what became of the rows of a file.
type ImportCounts struct {
	Rows      int64 `json:"rows"`      // read
	Created   int64 `json:"created"`   // ads that were not there
	Updated   int64 `json:"updated"`   // ads that say something else now
	Unchanged int64 `json:"unchanged"` // ads that said the same; also what an attempt of this import that died had written
	Newer     int64 `json:"newer"`     // ads that were changed after the file was written: they stay
	Refused   int64 `json:"refused"`   // rows
}

// ImportAdsResult is what an import did, or of a dry run what it would do.
type ImportAdsResult struct {
	ImportCounts
	Listed []click.RefusedRow `json:"listed,omitempty"` // the first refused rows
	// RefusedRows is the folder in the bucket with all of them, as CSV.
	RefusedRows string `json:"refused_rows,omitempty"`
}

// ImportProgress is how far an import is.
type ImportProgress struct {
	State  string `json:"state"`
	Object string `json:"object"`
	DryRun bool   `json:"dry_run"`
	All    int64  `json:"all"`    // rows of the file; -1: not known before its end
	Staged int64  `json:"staged"` // rows waiting to be made ads
	ImportCounts
}

// The states of an import.
const (
	importReads  = "reads the file"
	importWrites = "writes the ads"
	importDone   = "done"
	importFailed = "failed"
)

// ImportAds makes the catalogue's ads what a file says: rows are read and
// judged by the API's rules, chunk by chunk, and then made ads, slice by slice.
// Rows that are refused stop nothing. The rows are as old as the file: what was
// changed after it was written stays, and the same file again changes nothing.
func ImportAds(ctx workflow.Context, in ImportAdsInput) (ImportAdsResult, error) {
	if err := in.check(); err != nil {
		return ImportAdsResult{}, err
	}
	job := temporal.NewSearchAttributeKeyKeyword(JobAttribute).ValueSet(string(JobImport))
	if err := workflow.UpsertTypedSearchAttributes(ctx, job); err != nil {
		return ImportAdsResult{}, err
	}
	i := &adImporting{progress: ImportProgress{State: importReads, Object: in.Object, DryRun: in.DryRun, All: -1}}
	err := workflow.SetQueryHandlerWithOptions(ctx, ProgressQuery, func() (ImportProgress, error) { return i.progress, nil },
		workflow.QueryHandlerOptions{Description: "how far it is"})
	if err != nil {
		return ImportAdsResult{}, err
	}
	plan, err := execute(ctx, optionsFor(stepPlanImport, in.Object), adImport.PlanImport, activities.PlanImportInput{Object: in.Object})
	if err != nil {
		return ImportAdsResult{}, i.end(ctx, err)
	}
	plan.DryRun = in.DryRun
	i.plan, i.progress.All = plan, plan.Rows
	err = i.work(ctx)
	ending, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if _, fault := execute(ending, optionsFor(stepEndImport, ""), adImport.EndImport, activities.EndImportInput{Plan: plan}); fault != nil {
		workflow.GetLogger(ctx).Warn("what was staged stays for three days", "error", fault)
	}
	return i.result(), i.end(ctx, err)
}

// adImporting is an import under way.
type adImporting struct {
	plan     activities.ImportPlan
	progress ImportProgress
	listed   []click.RefusedRow
}

func (i *adImporting) work(ctx workflow.Context) error {
	if err := i.load(ctx); err != nil {
		return err
	}
	if err := i.merge(ctx); err != nil {
		return err
	}
	p := i.progress
	if told := p.Created + p.Updated + p.Unchanged + p.Newer + p.Refused; told != p.Rows {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"%d rows were read, and of %d is known what became: the store has lost what was staged; import it again", p.Rows, told), activities.ErrorVerification, nil)
	}
	if i.plan.DryRun || p.Created+p.Updated == 0 {
		return nil
	}
	if p.Updated > 0 {
		if _, err := execute(ctx, optionsFor(stepAnnounceImport, ""), adImport.AnnounceImport, activities.AnnounceImportInput{Plan: i.plan}); err != nil {
			return err
		}
	}
	return exportAfter(ctx, i.plan.ID)
}

// load stages the file, chunk by chunk.
func (i *adImporting) load(ctx workflow.Context) error {
	for from, end := (click.AdCursor{}), false; !end; {
		i.show(ctx)
		done, err := execute(ctx, optionsFor(stepLoadAds, fmt.Sprintf("rows from %d on", from.Row+1)), adImport.LoadAds,
			activities.LoadAdsInput{Plan: i.plan, From: from})
		if err != nil {
			return err
		}
		from, end = done.Next, done.End
		i.progress.Rows += done.Rows
		i.progress.Staged += done.Staged
		i.refuse(done.Refused, done.Listed)
	}
	return nil
}

// merge makes ads of what is staged, slice by slice.
func (i *adImporting) merge(ctx workflow.Context) error {
	i.progress.State = importWrites
	for after, end := int64(0), false; !end; {
		i.show(ctx)
		done, err := execute(ctx, optionsFor(stepMergeAds, fmt.Sprintf("ads behind %d", after)), adImport.MergeAds,
			activities.MergeAdsInput{Plan: i.plan, After: after})
		if err != nil {
			return err
		}
		after, end = done.Through, done.End
		i.progress.Staged -= done.Rows
		i.progress.Created += done.Created
		i.progress.Updated += done.Updated
		i.progress.Unchanged += done.Unchanged
		i.progress.Newer += done.Newer
		i.refuse(done.Refused, done.Listed)
	}
	return nil
}

func (i *adImporting) refuse(count int64, listed []click.RefusedRow) {
	i.progress.Refused += count
	i.listed = append(i.listed, listed[:min(len(listed), refusedListedMax-len(i.listed))]...)
}

func (i *adImporting) result() ImportAdsResult {
	result := ImportAdsResult{ImportCounts: i.progress.ImportCounts, Listed: i.listed}
	if i.progress.Refused > 0 {
		result.RefusedRows = path.Dir(i.plan.RefusedPath("")) // the folder
	}
	return result
}

// end shows what came of it and returns why it failed.
func (i *adImporting) end(ctx workflow.Context, fault error) error {
	i.progress.State = importDone
	if fault != nil {
		i.progress.State = importFailed
	}
	i.show(ctx)
	return fault
}

// show is what the UI shows, in Markdown.
func (i *adImporting) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, i.details())
}

func (i *adImporting) details() string {
	p := i.progress
	all, kind := "", ""
	if p.All >= 0 {
		all = fmt.Sprintf(" of %d", p.All)
	}
	if p.DryRun {
		kind = ", a dry run"
	}
	lines := []string{
		fmt.Sprintf("**%s**%s: **%s**", p.Object, kind, p.State),
		fmt.Sprintf("%d%s rows read, %d of them still to be written", p.Rows, all, p.Staged),
		"", "| created | updated | unchanged | newer, kept | refused |", "|---|---|---|---|---|",
		fmt.Sprintf("| %d | %d | %d | %d | %d |", p.Created, p.Updated, p.Unchanged, p.Newer, p.Refused),
	}
	if len(i.listed) > 0 {
		lines = append(lines, "", "| row | ad | refused because |", "|---|---|---|")
	}
	for _, r := range i.listed[:min(len(i.listed), namesMax)] {
		lines = append(lines, fmt.Sprintf("| %d | %d | %s |", r.Row, r.AdID, strings.ReplaceAll(r.Reason, "|", "/")))
	}
	return strings.Join(lines, "\n")
}

// exportAfter has the catalogue exported. It does not wait for the end: exports
// overtake each other without harm, and the next hour's is there in any case.
func exportAfter(ctx workflow.Context, importID string) error {
	options := workflow.ChildWorkflowOptions{
		WorkflowID:               ExportScheduleID + "/after/" + importID,
		TaskQueue:                OperationsQueue,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowExecutionTimeout: exportTimeout,
		StaticSummary:            "exports the catalogue after an import",
		TypedSearchAttributes:    jobAttributes(JobExport),
	}
	err := child(ctx, options, ExportCatalogue, ExportCatalogueInput{}).GetChildWorkflowExecution().Get(ctx, nil)
	var already *temporal.ChildWorkflowExecutionAlreadyStartedError
	if errors.As(err, &already) {
		return nil
	}
	return err
}
