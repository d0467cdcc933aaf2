package openloop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"clickledger/internal/click"
	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
)

const (
	segmentClicks = 150_000
	// segmentsAhead bounds what is issued before it is needed: 1.5 million
	// tokens, 90 MB.
	segmentsAhead     = 10
	impressionsPerAsk = 10_000
	asksAtOnce        = 3
	askTries          = 5
	// zipfExponent makes the first of 1,000 ads take about a sixth of the clicks.
	zipfExponent = 1.1
)

// segment is a run of clicks in the order they are made: a new token for each.
type segment struct {
	tokens []byte   // click.TokenLength each
	ads    []uint32 // index of the ad
}

func (s *segment) token(i int) []byte { return s.tokens[i*click.TokenLength : (i+1)*click.TokenLength] }

// Supply issues the tokens of a run: as many as memory allows before it begins,
// the rest while it goes on.
type Supply struct {
	admin    *client.API
	ads      []int64
	choose   func() uint32
	segments chan *segment
	failed   chan error
}

// NewSupply is the tokens of so many clicks on ads; which is clicked is Zipf-distributed. It
// returns when what can be issued ahead has been.
func NewSupply(ctx context.Context, admin *client.API, ads []int64, clicks int) (*Supply, error) {
	s := &Supply{admin: admin, ads: ads, choose: choices(len(ads)), segments: make(chan *segment, segmentsAhead), failed: make(chan error, 1)}
	for len(s.segments) < segmentsAhead && clicks > 0 {
		next, err := s.issue(ctx, min(clicks, segmentClicks))
		if err != nil {
			return nil, err
		}
		s.segments <- next
		clicks -= len(next.ads)
	}
	go s.topUp(ctx, clicks)
	return s, nil
}

// choices draws which ad each click is on.
func choices(ads int) func() uint32 {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), zipfExponent, 1, uint64(ads-1))
	return func() uint32 { return uint32(zipf.Uint64()) }
}

// topUp issues the rest, each segment when there is room for it.
func (s *Supply) topUp(ctx context.Context, clicks int) {
	defer close(s.segments)
	for clicks > 0 {
		next, err := s.issue(ctx, min(clicks, segmentClicks))
		if err != nil {
			s.failed <- err
			return
		}
		select {
		case s.segments <- next:
		case <-ctx.Done():
			return
		}
		clicks -= len(next.ads)
	}
}

// next is the segment that follows; nil at the end of the run.
func (s *Supply) next() (*segment, error) {
	if next, ok := <-s.segments; ok {
		return next, nil
	}
	select {
	case err := <-s.failed:
		return nil, err
	default:
		return nil, nil
	}
}

// issue draws the ads of a segment and asks for their impressions, ad by ad.
func (s *Supply) issue(ctx context.Context, clicks int) (*segment, error) {
	made := &segment{tokens: make([]byte, clicks*click.TokenLength), ads: make([]uint32, clicks)}
	places := map[uint32][]int32{}
	for i := range made.ads {
		ad := s.choose()
		made.ads[i] = ad
		places[ad] = append(places[ad], int32(i))
	}
	asks, ctx := errgroup.WithContext(ctx)
	asks.SetLimit(asksAtOnce)
	for ad, where := range places {
		asks.Go(func() error { return s.fill(ctx, made, s.ads[ad], where) })
	}
	return made, asks.Wait()
}

func (s *Supply) fill(ctx context.Context, into *segment, adID int64, places []int32) error {
	for len(places) > 0 {
		batch := places[:min(len(places), impressionsPerAsk)]
		places = places[len(batch):]
		impressions, err := s.ask(ctx, adID, len(batch))
		if err != nil {
			return err
		}
		if len(impressions) != len(batch) {
			return fmt.Errorf("asked for %d impressions, got %d", len(batch), len(impressions))
		}
		for i, place := range batch {
			token := impressions[i].GetToken()
			if len(token) != click.TokenLength {
				return errors.New("a token of an unknown length was issued")
			}
			copy(into.token(int(place)), token)
		}
	}
	return nil
}

// ask asks again while the gateway says that it cannot just now, as publishers do:
// what is issued twice is not clicked twice.
func (s *Supply) ask(ctx context.Context, adID int64, count int) ([]*clickledgerv1.Impression, error) {
	return backoff.Retry(ctx, func() ([]*clickledgerv1.Impression, error) {
		impressions, err := s.admin.Issue(ctx, adID, count)
		if err != nil && connect.CodeOf(err) != connect.CodeUnavailable {
			return nil, backoff.Permanent(err)
		}
		return impressions, err
	}, backoff.WithMaxTries(askTries), backoff.WithNotify(func(err error, _ time.Duration) {
		fmt.Fprintln(os.Stderr, "impressions are asked for again:", err)
	}))
}
