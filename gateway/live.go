package main

import (
	"context"
	"time"

	"clickledger/gateway/server"
	"clickledger/internal/clickhouse"
)

// What is read for all who watch, in the server's terms.

// LiveFresh counts the clicks that are not sealed.
func (s store) LiveFresh(ctx context.Context, q server.LiveQuery) ([]server.LiveFigure, error) {
	return liveFiguresOf(s.Store.LiveFresh(ctx, clickhouse.LiveQuery(q)))
}

// LiveSealed reads figures of sealed minutes.
func (s store) LiveSealed(ctx context.Context, q server.LiveQuery) ([]server.LiveFigure, error) {
	return liveFiguresOf(s.Store.LiveSealed(ctx, clickhouse.LiveQuery(q)))
}

// LiveRestated reads which of them were corrected.
func (s store) LiveRestated(ctx context.Context, q server.LiveQuery) ([]server.LiveFigure, error) {
	return liveFiguresOf(s.Store.LiveRestated(ctx, clickhouse.LiveQuery(q)))
}

// LiveSeals reads the ledger.
func (s store) LiveSeals(ctx context.Context, from, to time.Time) ([]server.LiveFigure, error) {
	return liveFiguresOf(s.Store.LiveSeals(ctx, from, to))
}

// LiveAnnounced reads what is about to change.
func (s store) LiveAnnounced(ctx context.Context, advertisers []int64, from, to time.Time) ([]server.LiveFigure, error) {
	return liveFiguresOf(s.Store.LiveAnnounced(ctx, advertisers, from, to))
}

func liveFiguresOf(in []clickhouse.LiveFigure, err error) ([]server.LiveFigure, error) {
	if err != nil {
		return nil, err
	}
	out := make([]server.LiveFigure, len(in))
	for i, f := range in {
		out[i] = server.LiveFigure(f)
	}
	return out, nil
}
