package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/workflows"
)

const (
	insertClicksMax = 200_000
	rebuildTimeout  = time.Hour
	adsMax          = 1000
)

// rebuild stores every click, drops the index and has the product's workflow
// refill it, then asks about each impression: speed without all of them is
// nothing. The workflow runs in this process; the servers are the real ones.
func (b *bench) rebuild(ctx context.Context) error {
	fmt.Printf("storing %d clicks to rebuild from …\n", b.settings.Clicks)
	if err := b.storeClicks(ctx); err != nil {
		return err
	}
	if err := b.seen.Drop(ctx); err != nil {
		return err
	}
	fmt.Println("rebuilding …")
	began := time.Now()
	refilled, err := b.runRebuild()
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	b.result.RebuildPerS = float64(refilled.Impressions) / time.Since(began).Seconds()
	if refilled.Impressions != uint64(b.settings.Clicks) {
		return fmt.Errorf("the rebuild marked %d impressions of %d", refilled.Impressions, b.settings.Clicks)
	}
	for batch := range slices.Chunk(b.ids, b.settings.Batch) {
		seen, err := b.seen.Ask(ctx, batch)
		if err != nil {
			return err
		}
		if slices.Contains(seen, false) {
			return errors.New("an impression is missing in the rebuilt index")
		}
	}
	return nil
}

func (b *bench) runRebuild() (result workflows.RebuildSeenResult, err error) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(rebuildTimeout)
	workflows.Register(env)
	env.RegisterActivity(&activities.RebuildSeen{
		Seen: b.seen, Impressions: b.store, Validity: b.config.TokenValidity, Now: time.Now,
	})
	env.ExecuteWorkflow(workflows.RebuildSeen, workflows.RebuildSeenInput{})
	if err := env.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, env.GetWorkflowResult(&result)
}

// storeClicks inserts the clicks in their order, with the product's own insert.
func (b *bench) storeClicks(ctx context.Context) error {
	clicks := make([]click.Placed, 0, insertClicksMax)
	for i := range b.ids {
		ad := int64(i%adsMax) + 1
		clicks = append(clicks, click.Placed{
			Click: click.Click{
				AdID: ad, AdvertiserID: ad/10 + 1, Impression: b.ids[i],
				ClickedAt: b.clickedAt(i).UTC().Truncate(time.Millisecond), Arrival: click.NewArrivalID(1, uint64(i)),
			},
			Position: click.Position{Partition: int32(i % int(b.config.Partitions)), Offset: int64(i)},
		})
		if len(clicks) == insertClicksMax || i == len(b.ids)-1 {
			if err := b.store.InsertClicks(ctx, clicks); err != nil {
				return err
			}
			clicks = clicks[:0]
		}
	}
	return nil
}
