package oracle

import (
	"context"
	"fmt"
	"maps"
	"time"

	"clickledger/tests/client"
)

// Counted is a check (see poll.Until) that as many clicks of the advertisers
// are counted as were acknowledged. API a must be an admin's.
func (o *Oracle) Counted(a *client.API, advertisers []*client.Advertiser) func(context.Context) error {
	return func(ctx context.Context) error {
		from, to := o.Range()
		var counted int64
		for _, advertiser := range advertisers {
			if !from.Before(to) {
				break // nothing was clicked
			}
			clicks, _, err := a.Total(ctx, advertiser.ID, from, to)
			if err != nil {
				return err
			}
			counted += clicks
		}
		if want := o.Promised(); counted < want {
			return fmt.Errorf("%d of %d clicks are counted", counted, want)
		}
		return nil
	}
}

// Final is a check that every minute clicked in is sealed.
func (o *Oracle) Final(a *client.API, advertiser *client.Advertiser) func(context.Context) error {
	return func(ctx context.Context) error {
		from, to := o.Range()
		_, through, err := a.Total(ctx, advertiser.ID, from, to)
		if err != nil {
			return err
		}
		if through.Before(to) {
			return fmt.Errorf("sealed only through %s, not %s", through.Format(time.TimeOnly), to.Format(time.TimeOnly))
		}
		return nil
	}
}

// Differences asks each advertiser, with its own key, for its figures by ad
// and minute, and compares.
func (o *Oracle) Differences(ctx context.Context, advertisers []*client.Advertiser) ([]Difference, error) {
	from, to := o.Range()
	counted := map[int64]map[time.Time]int64{}
	for _, advertiser := range advertisers {
		if !from.Before(to) {
			break
		}
		// A minute on either side: nothing may be counted beside the range either.
		figures, err := advertiser.API.Figures(ctx, advertiser, from.Add(-time.Minute), to.Add(time.Minute))
		if err != nil {
			return nil, err
		}
		maps.Copy(counted, figures.Clicks)
	}
	return o.Compare(counted), nil
}
