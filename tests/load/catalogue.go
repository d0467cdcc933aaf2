package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	advertiserCount = 8

	countedTimeout  = 5 * time.Minute
	countedInterval = 250 * time.Millisecond
)

// catalogue is the fresh advertisers of one run. The probe has one ad that is
// only clicked to see how soon a click can be queried.
type catalogue struct {
	advertisers []*client.Advertiser
	probe       *client.Advertiser
	ads         []int64 // ids, spread over the advertisers in turn
}

func newCatalogue(ctx context.Context, admin *client.API, ads int) (*catalogue, error) {
	c := &catalogue{advertisers: make([]*client.Advertiser, min(advertiserCount, ads))}
	made, ctx := errgroup.WithContext(ctx)
	for i := range c.advertisers {
		made.Go(func() (err error) {
			own := (ads + len(c.advertisers) - 1 - i) / len(c.advertisers)
			c.advertisers[i], err = admin.NewAdvertiser(ctx, fmt.Sprintf("Load %d", i+1), own)
			return err
		})
	}
	made.Go(func() (err error) {
		c.probe, err = admin.NewAdvertiser(ctx, "Load probe", 1)
		return err
	})
	if err := made.Wait(); err != nil {
		return nil, err
	}
	for i := range ads {
		c.ads = append(c.ads, c.advertisers[i%len(c.advertisers)].Ads[i/len(c.advertisers)].GetAdId())
	}
	return c, nil
}

func (c *catalogue) all() []*client.Advertiser { return append(c.advertisers, c.probe) }

// waitCounted returns when as many clicks are counted as were acknowledged.
func (c *catalogue) waitCounted(ctx context.Context, admin *client.API, promised *oracle.Oracle) error {
	return poll.Until(ctx, countedTimeout, countedInterval, promised.Counted(admin, c.all()))
}
