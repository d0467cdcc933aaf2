package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clickledger/internal/click"
)

// droppedPatience is how long a batch waits for what it dropped to be stored
// when the server is there and refuses it, all tries of it together.
const droppedPatience = 10 * time.Second

// noteDropped stores what of a batch is not counted, and why: before the
// commit, so that a crash repeats it instead of losing it. While the store is
// away it waits, as every step does. But whatever else is the matter with it
// must not hold up what is counted: then it is given up, and the metric says
// how much.
func (i *Ingester) noteDropped(ctx context.Context, clicks, fresh []click.Placed) error {
	dropped := droppedOf(clicks, fresh)
	if len(dropped) == 0 {
		return nil
	}
	began := time.Now()
	err := i.persist(ctx, stepDropped, func(ctx context.Context) error {
		err := i.Store.InsertFiltered(ctx, dropped)
		if err == nil || errors.Is(err, click.ErrUnavailable) || errors.Is(err, click.ErrRejected) {
			return err
		}
		if i.droppedFails || time.Since(began) > droppedPatience {
			return fmt.Errorf("%w, it seems: %w", click.ErrRejected, err)
		}
		return err
	})
	// Once it was given up there is one try a batch, until one succeeds.
	i.droppedFails = errors.Is(err, click.ErrRejected)
	if i.droppedFails {
		i.metrics.unreported.Add(float64(len(dropped)))
		i.Log.Error("clicks that were not counted cannot be reported", "clicks", len(dropped), "error", err)
		return nil
	}
	return err
}

// droppedOf is what of clicks is not counted, as duplicates in the windows of
// their event times; fresh is what is. Where an impression is counted just now
// it is plain which of its clicks are copies: they are left out. Where it was
// counted before, copies are among the duplicates: who reads leaves them out, by
// their arrival ids.
func droppedOf(clicks, fresh []click.Placed) []click.Filtered {
	if len(clicks) == len(fresh) {
		return nil
	}
	counted := make(map[click.ImpressionID]click.ArrivalID, len(fresh))
	for i := range fresh {
		counted[fresh[i].Impression] = fresh[i].Arrival
	}
	dropped := make([]click.Filtered, 0, len(clicks)-len(fresh))
	for i := range clicks {
		c := &clicks[i]
		arrival, now := counted[c.Impression]
		if now && arrival == c.Arrival {
			continue // the counted click itself, or a copy of it
		}
		dropped = append(dropped, click.Filtered{
			Window: click.WindowOf(c.ClickedAt), AdvertiserID: c.AdvertiserID, AdID: c.AdID,
			Reason: click.Duplicate, Count: 1, ID: c.Arrival, Arrival: !now,
		})
	}
	return dropped
}
