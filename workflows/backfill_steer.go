package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"clickledger/internal/click"
)

// Updates and the Query of a backfill.
const (
	PauseUpdate          = "pause"           // begin no more chunks
	ResumeUpdate         = "resume"          // go on
	SetParallelismUpdate = "set-parallelism" // {"parallelism":2}
	RetryFailedUpdate    = "retry-failed"    // do the failed chunks again
	ProgressQuery        = "progress"
)

// States of a backfill, by which operators find it.
const (
	StatePaused        = "paused"
	StateWaitsForRetry = "waits for retry-failed"
	stateRuns          = "runs"
)

// chunksShownMax is how many of the last chunks the UI's table shows.
const chunksShownMax = 24

// NoInput is the input of an Update that needs none.
type NoInput struct{}

// SetParallelismInput is how many hours are done at a time, 1 to 4.
type SetParallelismInput struct {
	Parallelism int `json:"parallelism"`
}

// BackfillProgress is how far a backfill is.
type BackfillProgress struct {
	State       string        `json:"state"`
	From        click.Window  `json:"from"`
	To          click.Window  `json:"to"`
	DryRun      bool          `json:"dry_run"`
	Paused      bool          `json:"paused"`
	Parallelism int           `json:"parallelism"`
	All         int           `json:"all"`               // chunks
	Done        int           `json:"done"`              // chunks
	Running     []Chunk       `json:"running,omitempty"` // a paused backfill ends what is running
	Failed      []FailedChunk `json:"failed,omitempty"`
	Lake        uint64        `json:"lake"` // clicks, of the chunks that are done
	Missing     uint64        `json:"missing"`
	Surplus     uint64        `json:"surplus"`
	Inserted    uint64        `json:"inserted"`
	Deleted     uint64        `json:"deleted"`
	Restated    uint64        `json:"restated"` // figures
}

func (b *backfill) progress() BackfillProgress {
	t := b.state.Totals
	return BackfillProgress{
		State: b.stateText(), From: b.in.From, To: b.in.To, DryRun: b.in.DryRun,
		Paused: b.state.Paused, Parallelism: b.state.Parallelism,
		All: b.in.chunks(), Done: t.Chunks, Running: b.running, Failed: b.state.Failed,
		Lake: t.Lake, Missing: t.Missing, Surplus: t.Surplus, Inserted: t.Inserted, Deleted: t.Deleted, Restated: t.Restated,
	}
}

// stateText is the state in words.
func (b *backfill) stateText() string {
	switch {
	case b.ended != "":
		return b.ended
	case b.state.Paused:
		return StatePaused
	case b.waits:
		return StateWaitsForRetry
	default:
		return stateRuns
	}
}

// listen registers the Updates and the Query. Each Update answers with the
// progress.
func (b *backfill) listen(ctx workflow.Context) error {
	return errors.Join(
		workflow.SetQueryHandlerWithOptions(ctx, ProgressQuery, func() (BackfillProgress, error) { return b.progress(), nil },
			workflow.QueryHandlerOptions{Description: "how far it is"}),
		b.on(ctx, PauseUpdate, "begins no more chunks; those that run go on to their end",
			func() error { return nil }, func() { b.state.Paused = true }),
		b.on(ctx, ResumeUpdate, "goes on after a pause", func() error { return nil }, func() { b.state.Paused = false }),
		b.on(ctx, RetryFailedUpdate, "does the chunks again that failed", func() error {
			if len(b.state.Failed) == 0 {
				return errors.New("no chunk has failed")
			}
			return nil
		}, func() {
			for _, f := range b.state.Failed {
				b.state.Again = append(b.state.Again, f.Chunk)
			}
			b.state.Failed = nil
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, SetParallelismUpdate,
			func(ctx workflow.Context, in SetParallelismInput) (BackfillProgress, error) {
				b.state.Parallelism = in.Parallelism
				return b.steered(ctx)
			}, workflow.UpdateHandlerOptions{
				Description: `how many hours are done at a time: {"parallelism":2}, at most 4`,
				Validator:   func(in SetParallelismInput) error { return checkParallelism(in.Parallelism) },
			}))
}

// on registers an Update without input.
func (b *backfill) on(ctx workflow.Context, name, description string, may func() error, do func()) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, _ NoInput) (BackfillProgress, error) {
		do()
		return b.steered(ctx)
	}, workflow.UpdateHandlerOptions{
		Description: description,
		Validator: func(NoInput) error {
			if b.ended != "" {
				return fmt.Errorf("it is over: %s", b.ended)
			}
			return may()
		},
	})
}

// steered shows what an Update has changed.
func (b *backfill) steered(ctx workflow.Context) (BackfillProgress, error) {
	b.show(ctx, "")
	return b.progress(), setState(ctx, b.stateText())
}

// show is what the UI shows now, in Markdown.
func (b *backfill) show(ctx workflow.Context, now string) {
	workflow.SetCurrentDetails(ctx, b.details(now))
}

func (b *backfill) details(now string) string {
	s, t := b.state, b.state.Totals
	kind, all := "", b.in.chunks()
	if b.in.DryRun {
		kind = ", a dry run"
	}
	lines := []string{
		fmt.Sprintf("**%s** to **%s**%s: %d of %d chunks done (%d %%), %d failed, parallelism %d, **%s**",
			b.in.From, b.in.To, kind, t.Chunks, all, 100*t.Chunks/all, len(s.Failed), s.Parallelism, b.stateText()),
		fmt.Sprintf("%d clicks in the lake; %d missing and %d surplus in the store; %d inserted, %d deleted, %d figures restated",
			t.Lake, t.Missing, t.Surplus, t.Inserted, t.Deleted, t.Restated),
	}
	switch {
	case b.rollupFailure != "":
		lines = append(lines, "", "**not all days that are due could be rolled up**: "+b.rollupFailure+"; the nightly rollup tries again")
	case b.rolledUp > 0:
		lines = append(lines, fmt.Sprintf("%d days rolled up", b.rolledUp))
	}
	if now != "" {
		lines = append(lines, "", now)
	}
	lines = append(lines, "", "| chunk | | lake | missing | surplus | restated |", "|---|---|---|---|---|---|")
	for _, f := range s.Failed[:min(len(s.Failed), namesMax)] {
		lines = append(lines, fmt.Sprintf("| %s | **failed**: %s | | | | |", spanText(f.From, f.To), strings.ReplaceAll(f.Reason, "|", "/")))
	}
	if more := len(s.Failed) - namesMax; more > 0 {
		lines = append(lines, fmt.Sprintf("| %d more | **failed** | | | | |", more))
	}
	for _, c := range b.running {
		lines = append(lines, fmt.Sprintf("| %s | runs: `%s` | | | | |", spanText(c.From, c.To), ReconcileHourID(c.From)))
	}
	for i := len(s.Recent) - 1; i >= 0; i-- {
		r := s.Recent[i]
		lines = append(lines, fmt.Sprintf("| %s | %s | %d | %d | %d | %d |", spanText(r.From, r.To), r.State, r.Lake, r.Missing, r.Surplus, r.Restated))
	}
	return strings.Join(lines, "\n")
}
