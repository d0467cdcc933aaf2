package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

const (
	// archiveMargin is how long after its end a window is archived: more than
	// the broker's clock may be behind this one's, so that nothing is appended to
	// the window any more.
	archiveMargin = 30 * time.Second
	// objectRecordsMax is how many offsets one object covers. Two ranges at a time,
	// each with its clicks and its file in memory, stay below 200 MB.
	objectRecordsMax = 500_000
	// heartbeatRecords is how many records are read between two signs of life.
	heartbeatRecords = 50_000
)

// archiveStream is where clicks are archived from.
type archiveStream interface {
	Bounds(ctx context.Context, before time.Time) (topic, topicID string, bounds []click.StreamBounds, err error)
	ReadSpan(ctx context.Context, partition int32, span click.OffsetSpan, visit func(c click.Appended, isClick bool)) error
	Earliest(ctx context.Context) (time.Time, error)
}

// archiveWatch tells how far the archive is behind.
type archiveWatch interface {
	State(ctx context.Context) (click.ArchiveState, error)
}

// archiveLake is where they are archived to.
type archiveLake interface {
	PutObject(ctx context.Context, path string, content []byte) (sha256 string, err error)
	CheckObject(ctx context.Context, o click.LakeObject) error
	PublishManifest(ctx context.Context, m click.Manifest) error
	Manifest(ctx context.Context, w click.Window) (click.Manifest, error)
	LastManifest(ctx context.Context) (click.Manifest, error)
	EachStagedObject(ctx context.Context, folder string, visit func(path string, modified time.Time, bytes int64) error) error
	RemoveObject(ctx context.Context, path string) error
}

// Archive is the activities that copy the stream into the lake. They never
// touch the store that the figures come from.
type Archive struct {
	Stream   archiveStream
	Progress stream // what the ingester has stored, for what is staged
	Lake     archiveLake
	Watch    archiveWatch
	Encode   func([]click.Appended) ([]byte, error) // one Parquet file; the same clicks, the same bytes
	Lateness time.Duration                          // allowed, after a window's end
	Now      func() time.Time                       // the wall clock
}

// PlanArchiveInput bounds a plan.
type PlanArchiveInput struct {
	Limit int `json:"limit"` // windows
}

// PlanArchiveResult is what is due, in order.
type PlanArchiveResult struct {
	Due []click.Window `json:"due,omitempty"`
	// More says that the limit left something out.
	More bool `json:"more,omitempty"`
	// Through is the time up to which everything is archived; zero: nothing yet.
	Through time.Time `json:"through,omitzero"`
	// Alarm is a sentence for an operator, empty when all is well.
	Alarm string `json:"alarm,omitempty"`
}

// PlanArchive asks the lake which window was archived last, and returns those
// behind it that are over. It only reads.
func (a *Archive) PlanArchive(ctx context.Context, in PlanArchiveInput) (PlanArchiveResult, error) {
	next, last, err := a.next(ctx)
	if err != nil {
		return PlanArchiveResult{}, err
	}
	plan := PlanArchiveResult{Through: last.End}
	now := a.Now()
	state, err := a.Watch.State(ctx)
	if err != nil {
		return PlanArchiveResult{}, err
	}
	plan.Alarm = state.Alarm(now)
	for w := next; !click.ArchiveEnd(w).Add(archiveMargin).After(now); w = click.NextArchive(w) {
		if len(plan.Due) == in.Limit {
			plan.More = true
			break
		}
		plan.Due = append(plan.Due, w)
	}
	return plan, nil
}

// next is the first window that has no manifest, and the manifest before it;
// that is zero while the archive has not begun. It begins with the window of
// the stream's oldest record, or if it is empty with the newest that is over.
func (a *Archive) next(ctx context.Context) (click.Window, click.Manifest, error) {
	last, err := a.Lake.LastManifest(ctx)
	if err == nil {
		return click.NextArchive(last.Window), last, nil
	}
	if !errors.Is(err, click.ErrNotFound) {
		return click.Window{}, click.Manifest{}, err
	}
	earliest, err := a.Stream.Earliest(ctx)
	if err != nil {
		return click.Window{}, click.Manifest{}, err
	}
	if earliest.IsZero() {
		earliest = a.Now().Add(-click.ArchiveLength - archiveMargin)
	}
	return click.ArchiveWindowOf(earliest), click.Manifest{}, nil
}

// FixRangesInput asks for the ranges of an archive window.
type FixRangesInput struct {
	Window click.Window `json:"window"`
}

// FixRangesResult is what is to be archived.
type FixRangesResult struct {
	Topic   string                 `json:"topic"`
	TopicID string                 `json:"topic_id"`
	Ranges  []click.PartitionRange `json:"ranges"`
	// Archived says that the window has its manifest already; the rest is empty.
	Archived bool `json:"archived,omitempty"`
}

// FixRanges decides which offsets the window consists of: they start where the
// last manifest ended. It only reads; the workflow hands one answer to all that
// follows. It fails benignly while the window is not over or its turn has not
// come.
func (a *Archive) FixRanges(ctx context.Context, in FixRangesInput) (FixRangesResult, error) {
	if !click.StartsArchive(in.Window) {
		return FixRangesResult{}, BadInput(fmt.Sprintf("no archive window begins at %s; they begin every %v", in.Window, click.ArchiveLength))
	}
	switch _, err := a.Lake.Manifest(ctx, in.Window); {
	case err == nil:
		return FixRangesResult{Archived: true}, nil
	case !errors.Is(err, click.ErrNotFound):
		return FixRangesResult{}, err
	}
	if wait := click.ArchiveEnd(in.Window).Add(archiveMargin).Sub(a.Now()); wait > 0 {
		return FixRangesResult{}, notReady(fmt.Sprintf("window %s is not over", in.Window), wait)
	}
	next, last, err := a.next(ctx)
	if err != nil {
		return FixRangesResult{}, err
	}
	switch {
	case next.Before(in.Window):
		return FixRangesResult{}, notReady(fmt.Sprintf("window %s waits for %s to be archived", in.Window, next), notReadyWait)
	case in.Window.Before(next):
		return FixRangesResult{}, BadInput(fmt.Sprintf("window %s is before the archive, which goes on with %s", in.Window, next))
	}
	topic, topicID, bounds, err := a.Stream.Bounds(ctx, click.ArchiveEnd(in.Window))
	if err != nil {
		return FixRangesResult{}, translate(err)
	}
	if last.TopicID != "" && last.TopicID != topicID {
		return FixRangesResult{}, translate(fmt.Errorf("topic %s has id %s, the lake was archived from %s: %w", topic, topicID, last.TopicID, click.ErrOtherTopic))
	}
	ranges, err := click.ContinueRanges(last.Ranges, bounds)
	if err != nil {
		return FixRangesResult{}, translate(err)
	}
	for _, r := range ranges {
		if r.Lost != nil {
			activity.GetLogger(ctx).Error("the stream dropped clicks before they were archived", "window", in.Window.String(),
				"partition", r.Partition, "offset", r.Lost.First, "lost", r.Lost.Len())
		}
	}
	return FixRangesResult{Topic: topic, TopicID: topicID, Ranges: ranges}, nil
}

// WriteRangeInput is one partition's part of a window.
type WriteRangeInput struct {
	Window click.Window         `json:"window"`
	Range  click.PartitionRange `json:"range"`
}

// WriteRangeResult is what it became.
type WriteRangeResult struct {
	Range click.ArchivedRange `json:"range"`
}

// WriteRange writes the objects of a range, objectRecordsMax offsets each. The
// same range writes the same bytes to the same places, so it may be repeated at
// any time, also beside another attempt. No reader sees an object before a
// manifest names it.
func (a *Archive) WriteRange(ctx context.Context, in WriteRangeInput) (WriteRangeResult, error) {
	out := click.ArchivedRange{PartitionRange: in.Range}
	for _, piece := range in.Range.Pieces(objectRecordsMax) {
		clicks, notClicks, err := a.read(ctx, in.Range.Partition, piece)
		if err != nil {
			return WriteRangeResult{}, translate(err)
		}
		out.Rows += int64(len(clicks))
		out.NotClicks += notClicks
		if len(clicks) == 0 {
			continue
		}
		object, err := a.write(ctx, click.LakeObjectPath(in.Window, in.Range.Partition, piece), piece, clicks)
		if err != nil {
			return WriteRangeResult{}, err
		}
		out.Objects = append(out.Objects, object)
		activity.RecordHeartbeat(ctx, piece.Next)
	}
	out.Empty = out.Len() - out.Rows - out.NotClicks
	return WriteRangeResult{Range: out}, nil
}

// read is the clicks of a piece, and how many of its records are none.
func (a *Archive) read(ctx context.Context, partition int32, piece click.OffsetSpan) (clicks []click.Appended, notClicks int64, err error) {
	clicks = make([]click.Appended, 0, piece.Len())
	err = a.Stream.ReadSpan(ctx, partition, piece, func(c click.Appended, isClick bool) {
		if (c.Offset-piece.First)%heartbeatRecords == 0 {
			activity.RecordHeartbeat(ctx, c.Offset)
		}
		if !isClick {
			notClicks++
			return
		}
		clicks = append(clicks, c)
	})
	return clicks, notClicks, err
}

// write makes one object of clicks, of which there is at least one.
func (a *Archive) write(ctx context.Context, path string, piece click.OffsetSpan, clicks []click.Appended) (click.LakeObject, error) {
	first := clicks[0]
	o := click.LakeObject{
		Path: path, OffsetSpan: piece, Rows: int64(len(clicks)),
		ClickedMin: first.ClickedAt, ClickedMax: first.ClickedAt, AppendedMin: first.AppendedAt, AppendedMax: first.AppendedAt,
	}
	for i := range clicks {
		clicked, appended := clicks[i].ClickedAt, clicks[i].AppendedAt
		o.ClickedMin, o.ClickedMax = earlier(o.ClickedMin, clicked), later(o.ClickedMax, clicked)
		o.AppendedMin, o.AppendedMax = earlier(o.AppendedMin, appended), later(o.AppendedMax, appended)
	}
	file, err := a.Encode(clicks)
	if err != nil {
		return click.LakeObject{}, err
	}
	o.Bytes = int64(len(file))
	o.SHA256, err = a.Lake.PutObject(ctx, o.Path, file)
	return o, err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// PublishManifestInput is what was written of a window.
type PublishManifestInput struct {
	Window  click.Window          `json:"window"`
	Topic   string                `json:"topic"`
	TopicID string                `json:"topic_id"`
	Ranges  []click.ArchivedRange `json:"ranges"`
}

// PublishManifestResult is empty.
type PublishManifestResult struct{}

// PublishManifest checks that every object is there as it was written, and then
// makes the window part of the lake. The same input publishes the same
// manifest; another one of the window is never written over.
func (a *Archive) PublishManifest(ctx context.Context, in PublishManifestInput) (PublishManifestResult, error) {
	m := click.Manifest{
		Version: click.ManifestVersion, Topic: in.Topic, TopicID: in.TopicID,
		Window: in.Window, End: click.ArchiveEnd(in.Window), Ranges: in.Ranges,
	}
	if err := m.Check(); err != nil {
		return PublishManifestResult{}, BadInput(err.Error())
	}
	for _, r := range m.Ranges {
		for _, o := range r.Objects {
			if err := a.Lake.CheckObject(ctx, o); err != nil {
				return PublishManifestResult{}, err
			}
			activity.RecordHeartbeat(ctx, o.Path)
		}
	}
	if err := a.Lake.PublishManifest(ctx, m); err != nil {
		return PublishManifestResult{}, translate(err)
	}
	metrics := activity.GetMetricsHandler(ctx)
	metrics.Counter("clickledger_archive_clicks").Inc(m.Rows())
	metrics.Counter("clickledger_archive_lost_offsets").Inc(m.Lost())
	return PublishManifestResult{}, nil
}
