package ingest

import (
	"context"
	"errors"

	"clickledger/internal/click"
)

// insert stores clicks. If the store refuses the data it is halved again and
// again until the culprits are alone: they come back as rejected, the rest is
// stored. The store keeps what it has of a refused insert to itself: storing it
// once more replaces it.
func (i *Ingester) insert(ctx context.Context, clicks []click.Placed) (stored []click.Placed, rejected []click.DeadLetter, err error) {
	if len(clicks) == 0 {
		return nil, nil, nil
	}
	err = i.persist(ctx, stepInsert, func(ctx context.Context) error { return i.Store.InsertClicks(ctx, clicks) })
	switch {
	case err == nil:
		return clicks, nil, nil
	case !errors.Is(err, click.ErrRejected):
		return nil, nil, err
	case len(clicks) == 1:
		return nil, []click.DeadLetter{{Position: clicks[0].Position, Reason: err.Error()}}, nil
	}
	half := len(clicks) / 2
	stored, rejected, err = i.insert(ctx, clicks[:half])
	if err != nil {
		return nil, nil, err
	}
	storedToo, rejectedToo, err := i.insert(ctx, clicks[half:])
	if err != nil {
		return nil, nil, err
	}
	return append(stored[:len(stored):len(stored)], storedToo...), append(rejected, rejectedToo...), nil
}
