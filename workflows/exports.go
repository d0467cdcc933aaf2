package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
	"clickledger/internal/click"
)

// ExportScheduleID names the schedule that starts ExportCatalogue.
const ExportScheduleID = "export-catalogue"

// JobExport is the job of ExportCatalogue.
const JobExport Job = "export"

const (
	// When in an hour an export comes: away from the beginning of hours and days,
	// and in a minute away from the ticks.
	exportMinute = 52
	exportSecond = 5
	// exportTimeout is less than the hour until the next one.
	exportTimeout = 55 * time.Minute
)

var exports *activities.Exports // a typed nil: it only names the activities

// ExportCatalogueInput is empty: all of it is exported.
type ExportCatalogueInput struct{}

// ExportCatalogueResult is what was exported.
type ExportCatalogueResult struct {
	At     time.Time `json:"at"` // names the folder
	Rows   int64     `json:"rows"`
	Files  int       `json:"files"`
	Pruned int       `json:"pruned"` // older exports
	// Superseded says that a newer export was finished meanwhile.
	Superseded bool `json:"superseded,omitempty"`
}

// ExportCatalogue copies what no stream could bring back into the lake: table
// by table, then the list of all files, which makes it the export that setup
// restores; then old ones are deleted. One that dies leaves the last one as it
// was.
func ExportCatalogue(ctx workflow.Context, _ ExportCatalogueInput) (ExportCatalogueResult, error) {
	result := ExportCatalogueResult{At: workflow.Now(ctx).UTC().Truncate(time.Second)}
	publish := activities.PublishExportInput{At: result.At}
	for _, table := range exportTables(ctx) {
		workflow.SetCurrentDetails(ctx, exportDetails(publish.Tables, "exports "+string(table)))
		done, err := execute(ctx, optionsFor(stepExportTable, string(table)), exports.ExportTable,
			activities.ExportTableInput{At: result.At, Table: table})
		if err != nil {
			return result, err
		}
		publish.Tables = append(publish.Tables, done.Exported)
		result.Rows += done.Exported.Rows
		result.Files += len(done.Exported.Files)
	}
	summary := fmt.Sprintf("%d rows in %d files", result.Rows, result.Files)
	published, err := execute(ctx, optionsFor(stepPublishExport, summary), exports.PublishExport, publish)
	if err != nil {
		return result, err
	}
	result.Superseded = published.Superseded
	pruned, err := execute(ctx, optionsFor(stepPruneExports, ""), exports.PruneExports, activities.PruneExportsInput{})
	result.Pruned = pruned.Removed
	workflow.SetCurrentDetails(ctx, exportDetails(publish.Tables, ""))
	return result, err
}

// exportTables are the tables, without those that an export that runs already did
// not know when it began.
func exportTables(ctx workflow.Context) []click.ExportTable {
	tables := click.ExportTables()
	if workflow.GetVersion(ctx, "export-audit-events", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		tables = slices.DeleteFunc(tables, func(t click.ExportTable) bool { return t == click.ExportAuditEvents })
	}
	if workflow.GetVersion(ctx, "export-seals", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		tables = slices.DeleteFunc(tables, func(t click.ExportTable) bool { return t == click.ExportSeals })
	}
	return tables
}

// exportDetails is what the UI shows, in Markdown.
func exportDetails(done []click.ExportedTable, now string) string {
	lines := []string{"| table | rows | files |", "|---|---|---|"}
	for _, t := range done {
		lines = append(lines, fmt.Sprintf("| %s | %d | %d |", t.Table, t.Rows, len(t.Files)))
	}
	if now != "" {
		lines = append(lines, "", now)
	}
	return strings.Join(lines, "\n")
}

// exportSchedule starts ExportCatalogue every hour. One that was missed is made
// up for by the next.
func exportSchedule() client.ScheduleOptions {
	return client.ScheduleOptions{
		ID: ExportScheduleID,
		Spec: client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{
			Second:  []client.ScheduleRange{{Start: exportSecond}},
			Minute:  []client.ScheduleRange{{Start: exportMinute}},
			Hour:    []client.ScheduleRange{{Start: 0, End: 23}},
			Comment: "every hour, shortly before it ends",
		}}},
		Action: &client.ScheduleWorkflowAction{
			ID:                       ExportScheduleID,
			Workflow:                 ExportCatalogue,
			Args:                     []any{ExportCatalogueInput{}},
			TaskQueue:                OperationsQueue,
			WorkflowExecutionTimeout: exportTimeout,
			TypedSearchAttributes:    jobAttributes(JobExport),
			StaticSummary:            "exports catalogue, key hashes, restatements, times of seals and the audit",
		},
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: tickCatchup,
	}
}
