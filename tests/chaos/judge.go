package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	advertiserCount  = 3
	adsPerAdvertiser = 10

	// A minute waits for a gateway's journal up to ten minutes before it is final.
	countedTimeout = 10 * time.Minute
	finalTimeout   = 15 * time.Minute
	judgeInterval  = time.Second
	// settling is how long a click that got no answer may still be under way
	// when all faults are over and every gateway is ready.
	settling = 5 * time.Second
)

// audience is whose ads are clicked.
type audience struct {
	advertisers []*client.Advertiser
	ids         []int64
}

func newAudience(ctx context.Context, admin *client.API) (audience, error) {
	var a audience
	for n := range advertiserCount {
		advertiser, err := admin.NewAdvertiser(ctx, fmt.Sprintf("Chaos %d", n+1), adsPerAdvertiser)
		if err != nil {
			return a, err
		}
		a.advertisers = append(a.advertisers, advertiser)
		for _, ad := range advertiser.Ads {
			a.ids = append(a.ids, ad.GetAdId())
		}
	}
	return a, nil
}

// judge waits until everything is ready, counted and final, and compares: by
// the figures that anybody is shown, then by the table of clicks.
func (r *result) judge(ctx context.Context, s *stage, ads audience, clicked []*impression, c *crowd) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	over := time.Now().Add(settling)
	poll.Pause(ctx, settling)
	var promised oracle.Oracle
	for _, i := range clicked {
		i.until(over)
		promised.Add(i.adID, i.settled(), i.times...)
	}
	r.Clicks, r.Sent = c.clicks.Load(), promised.Promised()
	if r.Sent == 0 {
		return errors.New("no click was recorded")
	}
	say("waiting until all %d are counted", r.Sent)
	begun := time.Now()
	countErr := poll.Until(ctx, countedTimeout, judgeInterval, promised.Counted(s.admins[0], ads.advertisers))
	r.CountedS = time.Since(begun).Seconds()
	say("waiting until the last minute is final")
	finalErr := poll.Until(ctx, finalTimeout, judgeInterval, promised.Final(s.admins[0], ads.advertisers[0]))
	r.Final, r.FinalS = finalErr == nil, time.Since(begun).Seconds()
	if finalErr != nil {
		finalErr = fmt.Errorf("not every minute is final: %w", finalErr)
	}
	if countErr != nil {
		say("not all are counted: %v", countErr)
	}
	return errors.Join(finalErr, r.compareFigures(ctx, &promised, s.admins[0], ads), r.compareTable(ctx, s.store, clicked))
}

func (r *result) compareFigures(ctx context.Context, promised *oracle.Oracle, admin *client.API, ads audience) (err error) {
	from, to := promised.Range()
	for _, advertiser := range ads.advertisers {
		n, _, err := admin.Total(ctx, advertiser.ID, from, to)
		if err != nil {
			return err
		}
		r.Counted += n
	}
	if r.differences, err = promised.Differences(ctx, ads.advertisers); err != nil {
		return err
	}
	for _, d := range r.differences {
		r.Lost += d.Lost()
		r.Doubled += d.Doubled()
	}
	return nil
}

func (r *result) compareTable(ctx context.Context, s *store, clicked []*impression) error {
	minutes, err := s.stored(ctx)
	if err != nil {
		return err
	}
	r.compareStored(clicked, minutes)
	return nil
}

// compareStored looks each acknowledged impression up: it stands in the table
// once, in the minute of one of its clicks. What remains was never clicked.
func (r *result) compareStored(clicked []*impression, minutes map[uuid.UUID][]time.Time) {
	for _, i := range clicked {
		found := minutes[i.id]
		delete(minutes, i.id)
		switch {
		case i.settled() && len(found) == 0:
			r.missing = append(r.missing, i)
		case len(found) > 1:
			r.repeated = append(r.repeated, i)
		case len(found) == 1 && !i.mayCountIn(found[0].UTC()):
			r.misplaced = append(r.misplaced, i)
			r.differences = append(r.differences, oracle.Difference{AdID: i.adID, Minute: found[0].UTC(), Counted: 1})
		}
	}
	r.Strangers = len(minutes)
}
