package workflows

import (
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

// Search attributes, registered by setup. An unregistered one would block the
// workflow tasks that set it.
const (
	JobAttribute    = "ClickledgerJob"    // Keyword: what kind of work
	WindowAttribute = "ClickledgerWindow" // Datetime: start of the window worked on
	StateAttribute  = "ClickledgerState"  // Keyword: what came of a reconciliation or a backfill, or what it waits for
)

// Job is a value of JobAttribute.
type Job string

// The jobs.
const (
	JobTick   Job = "tick"
	JobFlush  Job = "flush"
	JobRepair Job = "repair"
)

// jobAttributes is what a workflow about no single window carries.
func jobAttributes(job Job) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(
		temporal.NewSearchAttributeKeyKeyword(JobAttribute).ValueSet(string(job)))
}

// windowAttributes is what a workflow about one window carries. As a date it
// can be asked for by range: ClickledgerWindow >= "2026-11-23T10:00:00Z".
func windowAttributes(job Job, w click.Window) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		temporal.NewSearchAttributeKeyKeyword(JobAttribute).ValueSet(string(job)),
		temporal.NewSearchAttributeKeyTime(WindowAttribute).ValueSet(w.Start()),
	}
}
