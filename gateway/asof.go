package main

import (
	"context"

	"clickledger/gateway/server"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
)

// figuresAsOf reads the minutes that had been sealed; there is nothing else that
// can be told of a time that is over.
func (s store) figuresAsOf(ctx context.Context, q server.FiguresQuery) (server.Figures, error) {
	out := server.Figures{FilteredUnknown: true}
	query := clickhouse.ReportQuery{
		AdvertiserID: q.AdvertiserID, AdIDs: q.AdIDs, ByAd: q.ByAd,
		From: q.From, To: earlier(q.To, q.SealedThrough), Starts: q.Starts, RowsMax: q.FiguresMax,
	}
	if !query.From.Before(query.To) {
		return out, nil
	}
	figures, restated, err := s.FiguresAsOf(ctx, query, q.AsOf)
	out.Sealed, out.Restated = figuresOf(figures), figuresOf(restated)
	return out, err
}

func (s store) reportedAdsAsOf(ctx context.Context, q server.FiguresQuery, after int64) ([]int64, error) {
	query := clickhouse.ReportQuery{AdvertiserID: q.AdvertiserID, From: q.From, To: earlier(q.To, q.SealedThrough), RowsMax: q.FiguresMax}
	if !query.From.Before(query.To) {
		return nil, nil
	}
	return s.ReportedAdsAsOf(ctx, query, q.AsOf, after)
}

// Corrections asks for corrections in the server's terms.
func (s store) Corrections(ctx context.Context, q server.CorrectionsQuery) ([]click.Correction, error) {
	return s.Store.Corrections(ctx, clickhouse.CorrectionsQuery{
		AdvertiserID: q.AdvertiserID, AdIDs: q.AdIDs, From: q.From, To: q.To,
		Since: q.Since, AsOf: q.AsOf, After: q.After, RowsMax: q.CorrectionsMax,
	})
}
