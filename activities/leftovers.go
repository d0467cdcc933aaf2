package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

// leftoverAge is how long an object is left alone whatever it is: an attempt
// that is going on has written it much later.
const leftoverAge = 24 * time.Hour

// leftoverLake is the part of the lake that is cleaned up.
type leftoverLake interface {
	ClickDays(ctx context.Context) ([]time.Time, error)
	EachManifest(ctx context.Context, day time.Time, visit func(click.Manifest) error) error
	EachClickObject(ctx context.Context, day time.Time, visit func(path string, modified time.Time, bytes int64) error) error
	EachStagedObject(ctx context.Context, folder string, visit func(path string, modified time.Time, bytes int64) error) error
	RemoveObject(ctx context.Context, path string) error
}

// Leftovers is the activities that delete what no manifest will ever name.
type Leftovers struct {
	Lake leftoverLake
	Now  func() time.Time
}

// ListLeftoverDaysInput bounds a clean-up.
type ListLeftoverDaysInput struct {
	Limit int `json:"limit"` // days, the newest
}

// ListLeftoverDaysResult is the days to look at, as 2026-11-23.
type ListLeftoverDaysResult struct {
	Days []string `json:"days,omitempty"`
}

// ListLeftoverDays lists the newest days in which there may be something old
// enough to be deleted. It only reads.
func (l *Leftovers) ListLeftoverDays(ctx context.Context, in ListLeftoverDaysInput) (ListLeftoverDaysResult, error) {
	days, err := l.Lake.ClickDays(ctx)
	if err != nil {
		return ListLeftoverDaysResult{}, err
	}
	out := ListLeftoverDaysResult{}
	for _, day := range days {
		if day.Before(l.Now().Add(-leftoverAge)) {
			out.Days = append(out.Days, day.Format(time.DateOnly))
		}
	}
	out.Days = out.Days[max(len(out.Days)-in.Limit, 0):]
	return out, nil
}

// RemoveLeftoversInput names a day.
type RemoveLeftoversInput struct {
	Day string `json:"day"` // as 2026-11-23
}

// RemoveLeftoversResult is what was found under a day.
type RemoveLeftoversResult struct {
	Objects int   `json:"objects"` // all, before
	Removed int   `json:"removed"`
	Bytes   int64 `json:"bytes"` // removed
	// Kept are objects that no manifest names but whose offsets are not all
	// accounted for: they may hold what was lost.
	Kept int `json:"kept"`
}

// RemoveLeftovers deletes the objects of a day that no manifest names, that are
// older than leftoverAge, and whose offsets all lie in the ranges of manifests
// that are there. Run again, it finds nothing more.
func (l *Leftovers) RemoveLeftovers(ctx context.Context, in RemoveLeftoversInput) (RemoveLeftoversResult, error) {
	day, err := time.Parse(time.DateOnly, in.Day)
	if err != nil {
		return RemoveLeftoversResult{}, BadInput(fmt.Sprintf("day %q is not of the form %s", in.Day, time.DateOnly))
	}
	var accounted click.Accounted
	err = l.Lake.EachManifest(ctx, day, func(m click.Manifest) error {
		activity.RecordHeartbeat(ctx, m.Window)
		return accounted.Add(m)
	})
	if err != nil {
		return RemoveLeftoversResult{}, translate(err)
	}
	out, before := RemoveLeftoversResult{}, l.Now().Add(-leftoverAge)
	err = l.Lake.EachClickObject(ctx, day, func(path string, modified time.Time, bytes int64) error {
		out.Objects++
		switch {
		case accounted.Names(path) || !modified.Before(before):
			return nil
		case !accounted.Covers(path):
			out.Kept++
			return nil
		}
		activity.RecordHeartbeat(ctx, path)
		if err := l.Lake.RemoveObject(ctx, path); err != nil {
			return err
		}
		activity.GetLogger(ctx).Info("deleted an object that no manifest names", "path", path)
		out.Removed, out.Bytes = out.Removed+1, out.Bytes+bytes
		return nil
	})
	return out, err
}

// RemoveStagedInput is empty.
type RemoveStagedInput struct{}

// RemoveStagedResult is what was deleted.
type RemoveStagedResult struct {
	Removed int   `json:"removed"`
	Bytes   int64 `json:"bytes"`
}

// RemoveStaged deletes what backfills staged and left behind: all that is older
// than leftoverAge. A backfill that goes on for so long stages anew. Run again,
// it finds nothing more.
func (l *Leftovers) RemoveStaged(ctx context.Context, _ RemoveStagedInput) (RemoveStagedResult, error) {
	out, before := RemoveStagedResult{}, l.Now().Add(-leftoverAge)
	err := l.Lake.EachStagedObject(ctx, click.StagedFolder(""), func(path string, modified time.Time, bytes int64) error {
		if !modified.Before(before) {
			return nil
		}
		activity.RecordHeartbeat(ctx, path)
		if err := l.Lake.RemoveObject(ctx, path); err != nil {
			return err
		}
		out.Removed, out.Bytes = out.Removed+1, out.Bytes+bytes
		return nil
	})
	return out, err
}
