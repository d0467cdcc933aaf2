package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"clickledger/gateway/server"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/kafka"
)

// The parts do not know each other's types; here they are made to fit.

// store answers figures in the server's terms.
type store struct {
	*clickhouse.Store
	seal       *recentSeal
	reconciled *recentReconciled
	owners     *owners
}

// OwnsAds asks only what was never asked.
func (s store) OwnsAds(ctx context.Context, advertiserID int64, adIDs []int64) (bool, error) {
	return s.owners.own(ctx, advertiserID, adIDs, s.Store.OwnsAds)
}

// AdvertiserExists asks only what was never asked.
func (s store) AdvertiserExists(ctx context.Context, advertiserID int64) (bool, error) {
	return s.owners.exists(ctx, advertiserID, s.Store.AdvertiserExists)
}

// SealedThrough is at most a quarter of a second old.
func (s store) SealedThrough(ctx context.Context) (time.Time, error) {
	return s.seal.sealedThrough(ctx, s.Store.SealedThrough)
}

// ReconciledThrough is at most some seconds old.
func (s store) ReconciledThrough(ctx context.Context) time.Time {
	return s.reconciled.reconciledThrough(ctx, s.Store.ReconciledThrough)
}

// Figures reads the sealed minutes, counts the rest, and asks what was not
// counted, side by side.
func (s store) Figures(ctx context.Context, q server.FiguresQuery) (server.Figures, error) {
	if !q.AsOf.IsZero() {
		return s.figuresAsOf(ctx, q)
	}
	query := clickhouse.ReportQuery{
		AdvertiserID: q.AdvertiserID, AdIDs: q.AdIDs, ByAd: q.ByAd,
		From: q.From, To: q.To, Starts: q.Starts, RowsMax: q.FiguresMax, Asked: q.Asked,
	}
	sealed, fresh, filtered := query, query, query
	sealed.To = earlier(q.To, q.SealedThrough)
	fresh.From = later(q.From, q.SealedThrough)
	filtered.From = later(q.From, q.FilteredFrom)
	var out server.Figures
	reads, readCtx := errgroup.WithContext(ctx)
	if sealed.From.Before(sealed.To) {
		reads.Go(func() error {
			figures, restated, err := s.SealedFigures(readCtx, sealed)
			out.Sealed, out.Restated = figuresOf(figures), figuresOf(restated)
			return err
		})
	}
	if fresh.From.Before(fresh.To) {
		reads.Go(func() error {
			figures, err := s.FreshFigures(readCtx, fresh)
			out.Fresh = figuresOf(figures)
			return err
		})
	}
	if filtered.From.Before(filtered.To) {
		reads.Go(func() error {
			figures, err := s.FilteredFigures(readCtx, filtered)
			if readCtx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, click.ErrTooManyRows) || errors.Is(err, click.ErrTooMuchMemory)) {
				out.FilteredUnknown = true // the counted clicks are answered all the same
				return nil
			}
			out.Filtered = filteredFiguresOf(figures)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return server.Figures{}, err
	}
	return out, nil
}

// ReportedAds asks for ads in the server's terms.
func (s store) ReportedAds(ctx context.Context, q server.FiguresQuery, after int64) ([]int64, error) {
	if !q.AsOf.IsZero() {
		return s.reportedAdsAsOf(ctx, q, after)
	}
	return s.Store.ReportedAds(ctx, clickhouse.ReportQuery{
		AdvertiserID: q.AdvertiserID, From: q.From, To: q.To, RowsMax: q.FiguresMax, Asked: q.Asked,
	}, q.SealedThrough, q.FilteredFrom, after)
}

// TopAds reads the most clicked ads, and which of them were corrected.
func (s store) TopAds(ctx context.Context, q server.FiguresQuery) ([]server.AdClicks, error) {
	query := clickhouse.ReportQuery{AdvertiserID: q.AdvertiserID, From: q.From, To: q.To, RowsMax: q.FiguresMax, Asked: q.Asked}
	figures, restated, err := s.Store.TopAds(ctx, query, q.SealedThrough)
	if err != nil {
		return nil, err
	}
	ads, at := make([]server.AdClicks, len(figures)), make(map[int64]int, len(figures))
	for i, f := range figures {
		ads[i], at[f.AdID] = server.AdClicks{AdID: f.AdID, Clicks: f.Clicks}, i
	}
	for _, f := range restated {
		ads[at[f.AdID]].Restated = true
	}
	return ads, nil
}

func filteredFiguresOf(in []clickhouse.FilteredFigure) []server.FilteredFigure {
	out := make([]server.FilteredFigure, len(in))
	for i, f := range in {
		out[i] = server.FilteredFigure(f)
	}
	return out
}

func figuresOf(in []clickhouse.Figure) []server.Figure {
	out := make([]server.Figure, len(in))
	for i, f := range in {
		out[i] = server.Figure(f)
	}
	return out
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

// stream answers lag in the server's terms.
type stream struct{ *kafka.Admin }

func (s stream) Lag(ctx context.Context) ([]server.PartitionLag, error) {
	partitions, err := s.Admin.Lag(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]server.PartitionLag, len(partitions))
	for i, p := range partitions {
		out[i] = server.PartitionLag{Partition: p.Partition, Committed: p.Committed, End: p.End}
	}
	return out, nil
}
