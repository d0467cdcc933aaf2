package server

import (
	"time"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// filteredKept is how long it is known what was not counted: a day less than
// the clicks are kept, without which a copy could not be told from a duplicate.
const filteredKept = 34 * 24 * time.Hour

// FilteredFigure is the clicks of one point of one series that were not
// counted, in the order of click.Reasons; AdID is 0 for a sum.
type FilteredFigure struct {
	AdID     int64
	Start    time.Time
	ByReason []uint64
}

// filteredFrom is where the first point begins of which all is known: the
// range's end if there is none.
func filteredFrom(asked reportRange, now time.Time) time.Time {
	kept := now.Add(-filteredKept)
	for _, start := range asked.starts {
		if !start.Before(kept) {
			return start
		}
	}
	return asked.to
}

// layFiltered lays what was not counted over the points that it is known of,
// and answers the totals if that is all of them.
func layFiltered(out *v1.QueryClicksResponse, grid *grid, q FiguresQuery, figures Figures) {
	if figures.FilteredUnknown {
		return
	}
	for i := range grid.points {
		start := grid.asked.starts[i%len(grid.asked.starts)]
		grid.points[i].filteredKnown = !start.Before(q.FilteredFrom)
	}
	byReason := make([]int64, len(click.Reasons()))
	total := int64(0)
	for _, f := range figures.Filtered {
		point := grid.point(f.AdID, f.Start)
		for reason, count := range f.ByReason {
			point.filtered += int64(count)
			byReason[reason] += int64(count)
			total += int64(count)
		}
	}
	if q.From.Before(q.FilteredFrom) {
		return
	}
	out.TotalFiltered = &total
	for i, reason := range click.Reasons() {
		if byReason[i] > 0 {
			out.FilteredByReason = append(out.FilteredByReason, &v1.FilteredClicks{Reason: verdictToProto(reason), Count: byReason[i]})
		}
	}
}
