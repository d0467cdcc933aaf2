package main

import (
	"context"
	"errors"
	"time"

	"clickledger/gateway/server"
	"clickledger/internal/clickhouse"
	"clickledger/internal/kafka"
)

// The parts do not know each other's types; here they are made to fit.

// store answers figures in the server's terms.
type store struct {
	*clickhouse.Store
	seal *recentSeal
}

// SealedThrough is at most a quarter of a second old.
func (s store) SealedThrough(ctx context.Context) (time.Time, error) {
	return s.seal.sealedThrough(ctx, s.Store.SealedThrough)
}

// Figures reads the sealed minutes, counts the rest, and last asks what was
// corrected: a correction is written before the figure it corrects.
func (s store) Figures(ctx context.Context, q server.FiguresQuery) (server.Figures, error) {
	query := clickhouse.ReportQuery{
		AdvertiserID: q.AdvertiserID, AdIDs: q.AdIDs, ByAd: q.ByAd,
		From: q.From, To: q.To, Starts: q.Starts, RowsMax: q.FiguresMax,
	}
	sealed, fresh := query, query
	sealed.To = earlier(q.To, q.SealedThrough)
	fresh.From = later(q.From, q.SealedThrough)
	var out server.Figures
	if sealed.From.Before(sealed.To) {
		figures, err := s.SealedFigures(ctx, sealed)
		if err != nil {
			return server.Figures{}, err
		}
		out.Sealed = figuresOf(figures)
	}
	if fresh.From.Before(fresh.To) {
		figures, err := s.FreshFigures(ctx, fresh)
		if err != nil {
			return server.Figures{}, err
		}
		out.Fresh = figuresOf(figures)
	}
	if sealed.From.Before(sealed.To) {
		points, err := s.RestatedPoints(ctx, sealed)
		if err != nil {
			return server.Figures{}, err
		}
		out.Restated = figuresOf(points)
	}
	filtered := query
	filtered.From = later(q.From, q.FilteredFrom)
	if filtered.From.Before(filtered.To) {
		figures, err := s.FilteredFigures(ctx, filtered)
		switch {
		case err == nil:
			out.Filtered = filteredFiguresOf(figures)
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			out.FilteredUnknown = true // the counted clicks are answered all the same
		default:
			return server.Figures{}, err
		}
	}
	return out, nil
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
