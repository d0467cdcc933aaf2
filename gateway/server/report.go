package server

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// Figures is what a store answers of the clicks of one advertiser: the sums of
// the points that have any.
type Figures struct {
	Sealed   []Figure // from sealed minutes
	Fresh    []Figure // counted from clicks that are not sealed yet
	Restated []Figure // points with a figure that was corrected; no clicks in them
	// Filtered are the points with clicks that were not counted, from
	// FilteredFrom on; FilteredUnknown says that it could not be told in time.
	Filtered        []FilteredFigure
	FilteredUnknown bool
}

// Figure is the clicks of one point of one series; AdID is 0 for a sum.
type Figure struct {
	AdID   int64
	Start  time.Time
	Clicks uint64
}

// FiguresQuery asks for figures. Everything before SealedThrough is read as
// sealed, the rest is counted.
type FiguresQuery struct {
	AdvertiserID  int64
	AdIDs         []int64 // none: all
	ByAd          bool
	From, To      time.Time
	Starts        []time.Time // of the points; none: every minute
	SealedThrough time.Time
	AsOf          time.Time // figures as they were then; zero: as they are
	FilteredFrom  time.Time // what was not counted is known from here on
	FiguresMax    int       // of each kind; more are cut off
	// Asked is when the client asked, by this process's clock: it is told what was
	// so at some moment behind that.
	Asked time.Time
}

// reportStore is where figures are read.
type reportStore interface {
	SealedThrough(ctx context.Context) (time.Time, error)
	// ReconciledThrough is zero while nothing is, or it is not known.
	ReconciledThrough(ctx context.Context) time.Time
	OwnsAds(ctx context.Context, advertiserID int64, adIDs []int64) (bool, error)
	AdvertiserExists(ctx context.Context, advertiserID int64) (bool, error)
	Figures(ctx context.Context, q FiguresQuery) (Figures, error)
	// ReportedAds are up to q.FiguresMax ads behind one, ascending, that have
	// anything to be told of.
	ReportedAds(ctx context.Context, q FiguresQuery, after int64) ([]int64, error)
	// TopAds are the q.FiguresMax most clicked ads.
	TopAds(ctx context.Context, q FiguresQuery) ([]AdClicks, error)
	pastStore
}

// reportService answers ReportService.
type reportService struct {
	store   reportStore
	now     func() time.Time
	watches *watchHub
	lane    lane
}

// QueryClicks reads figures.
func (s *reportService) QueryClicks(ctx context.Context, in *v1.QueryClicksRequest) (*v1.QueryClicksResponse, error) {
	asked, query, err := s.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	owned := make(chan error, 1)
	go func() { // beside the figures, which are not told if they are another's
		err := s.requireOwn(ctx, in.GetAdvertiserId(), in.GetAdIds())
		if err != nil {
			cancel()
		}
		owned <- err
	}()
	out, err := s.query(ctx, in, asked, query)
	if err := <-owned; err != nil {
		return nil, err
	}
	return out, err
}

// prepare checks a question, but not whose the ads are, and makes it one to the
// store. What is sealed is read once, first, and used throughout, so that every
// minute is in the answer exactly once.
func (s *reportService) prepare(ctx context.Context, in *v1.QueryClicksRequest) (reportRange, FiguresQuery, error) {
	began := time.Now()
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return reportRange{}, FiguresQuery{}, err
	}
	asked, err := readRange(in, s.now())
	if err != nil {
		return reportRange{}, FiguresQuery{}, err
	}
	asOf, err := readAsOf(in.GetAsOf(), s.now())
	if err != nil {
		return reportRange{}, FiguresQuery{}, err
	}
	sealed, err := s.sealedThrough(ctx, asOf)
	if err != nil {
		return reportRange{}, FiguresQuery{}, err
	}
	query := FiguresQuery{
		AdvertiserID: in.GetAdvertiserId(), AdIDs: in.GetAdIds(), ByAd: in.GetGroupByAd(),
		From: asked.from, To: asked.to, SealedThrough: sealed, AsOf: asOf, FilteredFrom: filteredFrom(asked, s.now()),
		FiguresMax: pointsMax + 1, Asked: began,
	}
	if asked.granularity != v1.Granularity_GRANULARITY_MINUTE {
		query.Starts = asked.starts
	}
	return asked, query, nil
}

// query answers a question, or the page of it that in asks for.
func (s *reportService) query(ctx context.Context, in *v1.QueryClicksRequest, asked reportRange, query FiguresQuery) (*v1.QueryClicksResponse, error) {
	next := ""
	if paged(in) {
		var err error
		if query.AdIDs, next, err = s.page(ctx, in, asked, query); err != nil {
			return nil, err
		}
	}
	out := &v1.QueryClicksResponse{SealedThrough: timeToProto(query.SealedThrough)} // of a page that has no ads: none in a query means all
	if !paged(in) || len(query.AdIDs) > 0 {
		figures, err := s.store.Figures(ctx, query)
		if err != nil {
			return nil, err
		}
		s.lane.do(func() { out, err = answer(asked, query, figures) })
		if err != nil {
			return nil, err
		}
	}
	out.NextPageToken = next
	if query.AsOf.IsZero() { // how far they agreed then is not kept
		out.ReconciledThrough = timeToProto(s.store.ReconciledThrough(ctx))
	}
	return out, nil
}

// requireOwn refuses an advertiser or ads that are not there. Whoever asks with
// an advertiser's own key need not be told that it exists.
func (s *reportService) requireOwn(ctx context.Context, advertiserID int64, adIDs []int64) error {
	if len(adIDs) == 0 {
		if principalOf(ctx).Role == click.RoleAdvertiser {
			return nil
		}
		exists, err := s.store.AdvertiserExists(ctx, advertiserID)
		if err == nil && !exists {
			err = notFound(errNoSuchAdvertiser)
		}
		return err
	}
	owned, err := s.store.OwnsAds(ctx, advertiserID, adIDs)
	if err == nil && !owned {
		err = notFound(errNoSuchAd)
	}
	return err
}

// answer lays the figures over the points asked for.
func answer(asked reportRange, q FiguresQuery, figures Figures) (*v1.QueryClicksResponse, error) {
	series := seriesOf(q, figures)
	if err := checkPoints(len(asked.starts) * len(series)); err != nil {
		return nil, err
	}
	grid := newGrid(asked, series)
	for _, f := range slices.Concat(figures.Sealed, figures.Fresh) {
		grid.point(f.AdID, f.Start).clicks += f.Clicks
	}
	for _, f := range figures.Restated {
		point := grid.point(f.AdID, f.Start)
		point.state = click.Worst(point.state, click.Restated)
	}
	out := &v1.QueryClicksResponse{SealedThrough: timeToProto(q.SealedThrough)}
	layFiltered(out, grid, q, figures)
	for i := range grid.points {
		point := &grid.points[i]
		if asked.end(i % len(asked.starts)).After(q.SealedThrough) {
			point.state = click.Provisional
		}
		out.TotalClicks += int64(point.clicks)
	}
	out.Points = pointsToProto(q.ByAd, grid)
	return out, nil
}

// pointsToProto makes few objects of many points: what a page of 50,000 takes is
// mostly that.
func pointsToProto(byAd bool, g *grid) []*v1.Point {
	starts := make([]*timestamppb.Timestamp, len(g.asked.starts))
	for i, start := range g.asked.starts {
		starts[i] = timeToProto(start)
	}
	all, out := make([]v1.Point, len(g.points)), make([]*v1.Point, len(g.points))
	for i := range g.points {
		from, to := &g.points[i], &all[i]
		to.StartTime, to.Clicks, to.State = starts[i%len(starts)], int64(from.clicks), stateToProto(from.state)
		if byAd {
			to.AdId = &g.series[i/len(starts)]
		}
		if from.filteredKnown {
			to.Filtered = &from.filtered
		}
		out[i] = to
	}
	return out
}

// seriesOf are the ads to answer, ascending: those asked for, else those that
// have figures; or the one series of the sum.
func seriesOf(q FiguresQuery, figures Figures) []int64 {
	if !q.ByAd {
		return []int64{0}
	}
	series := slices.Clone(q.AdIDs)
	if len(q.AdIDs) == 0 {
		for _, f := range slices.Concat(figures.Sealed, figures.Fresh, figures.Restated) {
			series = append(series, f.AdID)
		}
		for _, f := range figures.Filtered {
			series = append(series, f.AdID)
		}
	}
	slices.Sort(series)
	return slices.Compact(series)
}

// grid is the points of all series, zero and final until figures are laid over.
type grid struct {
	asked  reportRange
	series []int64
	points []gridPoint
}

type gridPoint struct {
	clicks        uint64
	filtered      int64
	filteredKnown bool
	state         click.State
}

func newGrid(asked reportRange, series []int64) *grid {
	g := &grid{asked: asked, series: series, points: make([]gridPoint, len(asked.starts)*len(series))}
	for i := range g.points {
		g.points[i].state = click.Final
	}
	return g
}

// point is the point a figure belongs to. The store looked starts up among
// those asked for, so it is there; one that is not would be lost silently.
func (g *grid) point(adID int64, start time.Time) *gridPoint {
	s, okSeries := slices.BinarySearch(g.series, adID)
	i, okStart := slices.BinarySearchFunc(g.asked.starts, start, time.Time.Compare)
	if !okSeries || !okStart {
		panic("a figure for a point that was not asked for")
	}
	return &g.points[s*len(g.asked.starts)+i]
}
