package workflows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/internal/click"
)

// Updates of a reconciliation that waits for them.
const (
	ApproveRepairUpdate = "approve-repair"
	DeclineRepairUpdate = "decline-repair"
)

// StateWaitsForApproval is the state by which operators find what waits:
// ClickledgerState = "waits for approval".
const StateWaitsForApproval = "waits for approval"

// minutesShownMax is how many minutes that differ the UI shows.
const minutesShownMax = 15

// DecisionInput may say why, or who decided: {"note":"checked with billing"}.
// It may be left away.
type DecisionInput struct {
	Note string `json:"note,omitempty"`
}

// DecisionResult is what was decided about.
type DecisionResult struct {
	Missing uint64 `json:"missing"` // clicks to insert
	Surplus uint64 `json:"surplus"` // clicks to delete
}

// decision is what an operator said.
type decision struct {
	approved bool
	note     string
}

// listen registers the Updates. They are refused unless something waits.
func (r *reconciliation) listen(ctx workflow.Context) error {
	for _, name := range []string{ApproveRepairUpdate, DeclineRepairUpdate} {
		err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(_ workflow.Context, in DecisionInput) (DecisionResult, error) {
			r.decided = &decision{approved: name == ApproveRepairUpdate, note: in.Note}
			return DecisionResult{r.account.Before.Missing, r.account.Before.Surplus}, nil
		}, workflow.UpdateHandlerOptions{Validator: func(DecisionInput) error { return r.mayDecide() }})
		if err != nil {
			return fmt.Errorf("register %s: %w", name, err)
		}
	}
	return nil
}

func (r *reconciliation) mayDecide() error {
	switch {
	case r.decided != nil:
		return errors.New("it is decided already")
	case !r.waits:
		return errors.New("nothing waits to be approved")
	default:
		return nil
	}
}

// ask waits until somebody decides on the repair. Unless it is approved, the
// reconciliation is over, with the result and error returned.
func (r *reconciliation) ask(ctx workflow.Context) (approved bool, result ReconcileHourResult, err error) {
	before := r.account.Before
	waiting := fmt.Sprintf("waits for %s: %d clicks to insert and %d to delete are more than is repaired unasked",
		ApproveRepairUpdate, before.Missing, before.Surplus)
	if err := r.record(ctx, click.ReconciledDiffers, waiting); err != nil {
		return false, result, err
	}
	if err := setState(ctx, StateWaitsForApproval); err != nil {
		return false, result, err
	}
	r.waits = true
	r.show(ctx, r.question(workflow.Now(ctx).Add(approvalWaitMax)))
	answered, err := workflow.AwaitWithTimeout(ctx, approvalWaitMax, func() bool { return r.decided != nil })
	r.waits = false
	switch {
	case err != nil: // cancelled
		ended, cancel := workflow.NewDisconnectedContext(ctx)
		defer cancel()
		if _, told := r.end(ended, click.ReconciledDiffers, "cancelled while it waited to be approved"); told != nil {
			return false, result, told
		}
		return false, result, err
	case !answered:
		result, err = r.fail(ctx, click.ReconciledDiffers, ErrorUnanswered,
			fmt.Sprintf("nobody approved or declined the repair of %d clicks within %v", before.ToRepair(), approvalWaitMax))
		return false, result, err
	case !r.decided.approved:
		result, err = r.end(ctx, click.ReconciledDiffers, "the repair was declined"+r.decided.because())
		return false, result, err
	}
	workflow.GetLogger(ctx).Info("repair approved", "window", r.account.From.String(), "note", r.decided.note)
	return true, result, setState(ctx, "repairs")
}

func (d *decision) because() string {
	if d.note == "" {
		return ""
	}
	return ": " + d.note
}

// question is what an operator is asked, in Markdown.
func (r *reconciliation) question(until time.Time) string {
	return fmt.Sprintf("**waits for approval** until %s: to repair it, %d clicks are inserted and %d deleted, more than is repaired unasked. "+
		"Approve it with the Update `%s`, or decline it with `%s`:\n\n"+
		"    temporal workflow update execute --workflow-id %s --name %s",
		until.UTC().Format(time.RFC3339), r.account.Before.Missing, r.account.Before.Surplus,
		ApproveRepairUpdate, DeclineRepairUpdate, ReconcileHourID(r.account.From), ApproveRepairUpdate)
}

// show is what the UI shows now, in Markdown; with now empty it is over.
func (r *reconciliation) show(ctx workflow.Context, now string) {
	workflow.SetCurrentDetails(ctx, r.details(now))
}

func (r *reconciliation) details(now string) string {
	headline := r.name()
	switch {
	case r.in.DryRun:
		headline += ", a dry run"
	case r.in.Tail != nil:
		headline += ", with what is not archived yet"
	}
	lines := []string{headline}
	switch {
	case now != "":
		lines = append(lines, "", now)
	default:
		lines = append(lines, "", strings.TrimSuffix(fmt.Sprintf("**%s**: %s", r.account.State, r.account.Reason), ": "))
	}
	if r.account.Snapshot.Version != 0 { // something was compared
		lines = append(lines, "", "| | lake | store | figures | missing | surplus | places that differ |", "|---|---|---|---|---|---|---|",
			comparisonRow("before", r.account.Before))
		if r.account.After != nil {
			lines = append(lines, comparisonRow("after", *r.account.After))
		}
	}
	if r.account.Inserted+r.account.Deleted+r.account.Restated > 0 {
		lines = append(lines, "", fmt.Sprintf("%d clicks inserted, %d deleted, %d figures restated",
			r.account.Inserted, r.account.Deleted, r.account.Restated))
	}
	return strings.Join(append(lines, minuteRows(r.account.Before.Minutes)...), "\n")
}

func comparisonRow(name string, c click.Comparison) string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d |", name, c.Lake, c.Store, c.Figures, c.Missing, c.Surplus, c.Places)
}

// minuteRows is a table of the minutes that differ, the first of them.
func minuteRows(minutes []click.MinuteDelta) []string {
	if len(minutes) == 0 {
		return nil
	}
	rows := []string{"", "| minute | lake | store | figures | missing | surplus |", "|---|---|---|---|---|---|"}
	for _, m := range minutes[:min(len(minutes), minutesShownMax)] {
		rows = append(rows, fmt.Sprintf("| %s | %d | %d | %d | %d | %d |", m.Minute, m.Lake, m.Store, m.Figures, m.Missing, m.Surplus))
	}
	if more := len(minutes) - minutesShownMax; more > 0 {
		rows = append(rows, "", fmt.Sprintf("and %d more minutes", more))
	}
	return rows
}

// setState tells the state by which operators find a workflow.
func setState(ctx workflow.Context, state string) error {
	return workflow.UpsertTypedSearchAttributes(ctx, temporal.NewSearchAttributeKeyKeyword(StateAttribute).ValueSet(state))
}
