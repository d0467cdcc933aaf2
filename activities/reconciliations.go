package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

const (
	// reconcileMargin is how long after its end and the lateness an hour is
	// looked at: more than the broker's clock may be behind this one's, so that
	// nothing is appended any more that counts as on time.
	reconcileMargin = 30 * time.Second
	// reconcileAgainAfter is when an hour that differs, or was refused, is tried
	// again. A tick that plans until nothing is left must not meet it twice.
	reconcileAgainAfter = 30 * time.Minute
)

// reconcileStream tells how far the ingester has stored the clicks.
type reconcileStream interface {
	Progress(ctx context.Context, notBefore time.Time) (topicID string, progress []click.PartitionProgress, err error)
}

// reconcileManifests is what the lake has, and where reports are kept.
type reconcileManifests interface {
	LastManifest(ctx context.Context) (click.Manifest, error)
	Manifest(ctx context.Context, w click.Window) (click.Manifest, error)
	ManifestsOf(ctx context.Context, day time.Time) ([]click.Window, error)
	PutReport(ctx context.Context, path string, json []byte) error
}

// reconcileRecord is what was told of reconciliations.
type reconcileRecord interface {
	Reconciled(ctx context.Context) (click.Reconciled, error)
	RecordReconciliation(ctx context.Context, told click.ToldReconciliation) error
}

// Reconciliations is the activities around a reconciliation: which hours are
// due, and what is kept of it.
type Reconciliations struct {
	Stream   reconcileStream
	Lake     reconcileManifests
	Record   reconcileRecord
	Lateness time.Duration    // allowed, after an hour's end
	Now      func() time.Time // the wall clock

	mu      sync.Mutex
	clicked map[click.Window][]clickedSpan // of manifests that were read: they never change
}

// clickedSpan is a span of event times, both ends inclusive.
type clickedSpan struct{ first, last time.Time }

// PlanReconciliationsInput bounds a plan.
type PlanReconciliationsInput struct {
	Limit int `json:"limit"` // hours
}

// PlanReconciliationsResult is what is due.
type PlanReconciliationsResult struct {
	// Due are the first minutes of hours: first those that were never compared or
	// got clicks since, the earliest first; then those that differed or could not
	// be judged half an hour ago or longer, the one that waits longest first.
	Due []click.Window `json:"due,omitempty"`
	// More says that the limit left something out.
	More bool `json:"more,omitempty"`
	// Waiting is why the next hour that is over is not due, in words.
	Waiting string `json:"waiting,omitempty"`
}

// PlanReconciliations asks the record, the lake and Kafka which hours are due. An
// hour can be judged when the lake and the committed offsets have both passed
// the first offset that was appended at its end and the lateness or later. It
// is due when it was not judged as a whole; again, when a newer manifest has
// objects with event times in it; and again, after a while, when it was not
// found in order. Hours from before the ledger's start are the business of a
// backfill, and due only once one has reconciled them; so are hours that are
// older than the raw clicks kept, which never are. It only reads.
func (r *Reconciliations) PlanReconciliations(ctx context.Context, in PlanReconciliationsInput) (PlanReconciliationsResult, error) {
	reconciled, err := r.Record.Reconciled(ctx)
	if err != nil {
		return PlanReconciliationsResult{}, err
	}
	if reconciled.Start() == (click.Window{}) {
		return PlanReconciliationsResult{}, temporal.NewApplicationError("the ledger has no start: run setup", ErrorNoLedger)
	}
	now := r.Now()
	hours := r.candidates(reconciled, now)
	if len(hours) == 0 {
		return PlanReconciliationsResult{}, nil
	}
	last, err := r.Lake.LastManifest(ctx)
	switch {
	case errors.Is(err, click.ErrNotFound):
		return PlanReconciliationsResult{Waiting: fmt.Sprintf("hour %s waits for the lake: nothing is archived yet", click.HourText(hours[0]))}, nil
	case err != nil:
		return PlanReconciliationsResult{}, err
	}
	ready, waiting, err := r.ready(ctx, hours, last)
	if err != nil {
		return PlanReconciliationsResult{}, err
	}
	due, err := r.due(ctx, reconciled, hours[:ready], last, now)
	if err != nil {
		return PlanReconciliationsResult{}, err
	}
	plan := PlanReconciliationsResult{Due: due, Waiting: waiting}
	if len(plan.Due) > in.Limit {
		plan.Due, plan.More = plan.Due[:in.Limit], true
	}
	return plan, nil
}

// candidates are the hours that are over and may be judged, in order.
func (r *Reconciliations) candidates(reconciled click.Reconciled, now time.Time) []click.Window {
	oldest, start := click.FlushableFrom(now), click.HourOf(reconciled.Start().Start())
	var hours []click.Window
	for _, hour := range reconciled.Hours() {
		if hour.Before(start) && !hour.Before(oldest) {
			hours = append(hours, hour)
		}
	}
	hour := start
	if hour.Before(oldest) {
		hour = click.HourEnd(click.HourOf(oldest.Start()))
	}
	for ; !r.closedAt(hour).Add(reconcileMargin).After(now); hour = click.HourEnd(hour) {
		hours = append(hours, hour)
	}
	return hours
}

// closedAt is when the hour's last click that is not late may be appended.
func (r *Reconciliations) closedAt(hour click.Window) time.Time {
	return click.HourEnd(hour).Start().Add(r.Lateness)
}

// ready is how many of the hours, from the first on, can be judged, and why the
// next cannot. What is required only grows with time, so if the last hour is
// ready, all are: one question in the usual case.
func (r *Reconciliations) ready(ctx context.Context, hours []click.Window, last click.Manifest) (int, string, error) {
	if waiting, err := r.waits(ctx, hours[len(hours)-1], last); err != nil || waiting == "" {
		return len(hours), "", err
	}
	var failed error
	first := sort.Search(len(hours)-1, func(i int) bool {
		if failed != nil {
			return true
		}
		waiting, err := r.waits(ctx, hours[i], last)
		failed = err
		return waiting != ""
	})
	if failed != nil {
		return 0, "", failed
	}
	waiting, err := r.waits(ctx, hours[first], last)
	return first, waiting, err
}

// waits is what an hour waits for, in words; empty when it can be judged.
func (r *Reconciliations) waits(ctx context.Context, hour click.Window, last click.Manifest) (string, error) {
	topic, progress, err := r.Stream.Progress(ctx, r.closedAt(hour))
	if err != nil {
		return "", err
	}
	if topic != last.TopicID {
		return "", translate(fmt.Errorf("the stream's topic has id %s, the lake was archived from %s: %w", topic, last.TopicID, click.ErrOtherTopic))
	}
	for _, p := range progress {
		archived := int64(0)
		if int(p.Partition) < len(last.Ranges) {
			archived = last.Ranges[p.Partition].Next
		}
		if archived < p.Required {
			return fmt.Sprintf("hour %s waits for the lake: partition %d is archived to offset %d of %d",
				click.HourText(hour), p.Partition, archived, p.Required), nil
		}
	}
	if !click.Sealable(progress) {
		return fmt.Sprintf("hour %s waits for the ingester: %s", click.HourText(hour), behind(progress)), nil
	}
	return "", nil
}

// due are those of the hours that are to be reconciled, in the order of
// PlanReconciliationsResult.
func (r *Reconciliations) due(ctx context.Context, reconciled click.Reconciled, hours []click.Window, last click.Manifest, now time.Time) ([]click.Window, error) {
	newest, err := r.newestManifests(ctx, reconciled, hours, last, now)
	if err != nil {
		return nil, err
	}
	start := click.HourOf(reconciled.Start().Start())
	var due, again []click.Window
	for _, hour := range hours {
		switch v := reconciled.Hour(hour); {
		case !v.Whole && hour.Before(start):
			// A backfill had its reasons to take a part of it.
		case !v.Whole, v.Done && v.Through.Before(newest[hour]):
			due = append(due, hour)
		case !v.Done && now.Sub(v.Told) >= reconcileAgainAfter:
			again = append(again, hour)
		}
	}
	slices.SortStableFunc(again, func(a, b click.Window) int {
		return reconciled.Hour(a).Told.Compare(reconciled.Hour(b).Told)
	})
	return append(due, again...), nil
}

// newestManifests is, for each of the hours of which nothing is left, the
// newest archive window with clicks in it; the zero Window where none is newer
// than what was read. What an object holds is told by its earliest and latest
// click, so an hour between the two counts too: it is compared once more than
// it need be, never once less.
func (r *Reconciliations) newestManifests(ctx context.Context, reconciled click.Reconciled, hours []click.Window, last click.Manifest, now time.Time) (map[click.Window]click.Window, error) {
	done, read := map[click.Window]bool{}, last.Window
	for _, hour := range hours {
		if v := reconciled.Hour(hour); v.Done {
			done[hour] = true
			if v.Through.Before(read) {
				read = v.Through
			}
		}
	}
	newest := map[click.Window]click.Window{}
	if len(done) == 0 {
		return newest, nil
	}
	oldest := click.FlushableFrom(now) // what is older tells of no hour that is looked at
	clicked, err := r.clickedBehind(ctx, read, last.Window, oldest)
	if err != nil {
		return nil, err
	}
	for w, spans := range clicked {
		for _, span := range spans {
			end := earlier(span.last, now)
			for hour := click.HourOf(later(span.first, oldest.Start())); !hour.Start().After(end); hour = click.HourEnd(hour) {
				if done[hour] && newest[hour].Before(w) {
					newest[hour] = w
				}
			}
		}
	}
	return newest, nil
}

// clickedBehind is the event times of the clicks in every archive window behind
// read, up to last. A manifest is read once in the life of the process, so that
// after the first plan only new ones are.
func (r *Reconciliations) clickedBehind(ctx context.Context, read, last, oldest click.Window) (map[click.Window][]clickedSpan, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clicked == nil {
		r.clicked = map[click.Window][]clickedSpan{}
	}
	for w := range r.clicked {
		if w.Before(oldest) {
			delete(r.clicked, w)
		}
	}
	first := click.NextArchive(read)
	if first.Before(oldest) {
		first = oldest
	}
	found := map[click.Window][]clickedSpan{}
	for day := first.Start().Truncate(24 * time.Hour); !day.After(last.Start()); day = day.AddDate(0, 0, 1) {
		windows, err := r.Lake.ManifestsOf(ctx, day)
		if err != nil {
			return nil, err
		}
		for _, w := range windows {
			if w.Before(first) || last.Before(w) {
				continue
			}
			spans, err := r.clickedIn(ctx, w)
			if err != nil {
				return nil, err
			}
			found[w] = spans
		}
	}
	return found, nil
}

// clickedIn is the event times of the clicks in one archive window, lock held.
// A manifest that makes no sense is left to the reconciliation, which refuses
// the hours that need it; it must not keep all others from being planned.
func (r *Reconciliations) clickedIn(ctx context.Context, w click.Window) ([]clickedSpan, error) {
	if spans, ok := r.clicked[w]; ok {
		return spans, nil
	}
	activity.RecordHeartbeat(ctx, w.String())
	m, err := r.Lake.Manifest(ctx, w)
	switch {
	case errors.Is(err, click.ErrUnavailable), err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		activity.GetLogger(ctx).Error("a manifest cannot be read; hours that got clicks in it may not be compared again", "window", w.String(), "error", err)
		return nil, nil
	}
	spans := clickedSpans(m)
	r.clicked[w] = spans
	return spans, nil
}

// clickedSpans is the event times of a manifest's clicks, those that touch as one.
func clickedSpans(m click.Manifest) []clickedSpan {
	var all []clickedSpan
	for _, each := range m.Ranges {
		for _, o := range each.Objects {
			all = append(all, clickedSpan{o.ClickedMin, o.ClickedMax})
		}
	}
	slices.SortFunc(all, func(a, b clickedSpan) int { return a.first.Compare(b.first) })
	var spans []clickedSpan
	for _, each := range all {
		if n := len(spans); n > 0 && !each.first.After(spans[n-1].last) {
			spans[n-1].last = later(spans[n-1].last, each.last)
			continue
		}
		spans = append(spans, each)
	}
	return spans
}

// RecordReconciliationInput is what a run has to tell.
type RecordReconciliationInput struct {
	Reconciliation click.Reconciliation `json:"reconciliation"`
}

// RecordReconciliationResult is empty.
type RecordReconciliationResult struct{}

// RecordReconciliation keeps the report in the bucket, then writes the row that
// tells of it. A run may tell more than once, of its waiting and of its end:
// what it tells later counts, by when the activity was scheduled, which no
// attempt changes. The same again changes nothing.
func (r *Reconciliations) RecordReconciliation(ctx context.Context, in RecordReconciliationInput) (RecordReconciliationResult, error) {
	report := &in.Reconciliation
	switch report.State {
	case click.ReconciledClean, click.ReconciledRepaired, click.ReconciledDiffers, click.ReconciledRefused:
	default:
		return RecordReconciliationResult{}, BadInput(fmt.Sprintf("a reconciliation has no state %q", report.State))
	}
	if report.Run == "" || !click.WithinHour(report.From, report.To) {
		return RecordReconciliationResult{}, BadInput(fmt.Sprintf("run %q from %s to %s is no reconciliation of minutes of one hour", report.Run, report.From, report.To))
	}
	content, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return RecordReconciliationResult{}, fmt.Errorf("encode reconciliation: %w", err)
	}
	if err := r.Lake.PutReport(ctx, click.ReconciliationPath(report.From, report.Run), content); err != nil {
		return RecordReconciliationResult{}, err
	}
	at := activity.GetInfo(ctx).ScheduledTime.UTC().Truncate(time.Microsecond)
	return RecordReconciliationResult{}, r.Record.RecordReconciliation(ctx, click.ToldReconciliation{Reconciliation: *report, At: at})
}
