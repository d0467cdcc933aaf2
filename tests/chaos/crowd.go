package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"clickledger/tests/client"
	"clickledger/tests/poll"
)

const (
	// tabs is how many clicks may be under way or waiting to be tried again:
	// when that many are, nobody clicks anything new.
	tabs = 512
	// patience is how long a person looks at a page that does not load.
	patience = 5 * time.Second
	// A person clicks again after this long.
	againMin    = 250 * time.Millisecond
	againSpread = 500 * time.Millisecond

	// Of a hundred impressions so many are clicked at both gateways at once, and
	// so many once more within laterMost of being acknowledged.
	atOncePercent = 5
	laterPercent  = 5
	laterMost     = time.Minute

	issuedAtOnce = 100
	issuePause   = 250 * time.Millisecond
)

// crowd are people who click ads until they are redirected and told that their
// click is recorded. They go to the gateways in turn.
type crowd struct {
	urls   []string
	admins []*client.API // the same gateways
	ads    []int64
	rate   int
	score  *score
	http   *http.Client

	supply  chan *impression
	closing chan struct{} // no new clicks
	work    sync.WaitGroup
	clicks  atomic.Int64 // tries
	begun   atomic.Int64 // impressions
	waiting atomic.Int64 // impressions begun and not acknowledged

	mu  sync.Mutex
	all []*impression
}

func newCrowd(urls []string, admins []*client.API, ads []int64, rate int, s *score) *crowd {
	c := &crowd{
		urls: urls, admins: admins, ads: ads, rate: rate, score: s, http: client.NewHTTP(),
		supply: make(chan *impression, 10*rate), closing: make(chan struct{}),
	}
	c.http.Timeout = patience
	return c
}

// start begins to click, until stop.
func (c *crowd) start(ctx context.Context) {
	work := make(chan *impression)
	c.work.Go(func() { c.issue(ctx) })
	c.work.Go(func() { c.feed(ctx, work) })
	for range tabs {
		c.work.Go(func() {
			for i := range work {
				c.click(ctx, i)
			}
		})
	}
}

// stop ends the clicking and returns when everything begun is acknowledged, or
// when ctx ends, which start was given.
func (c *crowd) stop() []*impression {
	close(c.closing)
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// issue keeps some seconds' worth of impressions ready: they are issued while
// things break, as they would be.
func (c *crowd) issue(ctx context.Context) {
	for n := 0; ; n++ {
		ad := c.ads[rand.IntN(len(c.ads))]
		asking, cancel := context.WithTimeout(ctx, patience)
		issued, err := c.admins[n%len(c.admins)].Issue(asking, ad, issuedAtOnce)
		cancel()
		if err != nil {
			c.score.failed("impressions not issued")
			poll.Pause(ctx, issuePause)
		}
		for _, one := range issued {
			id, err := uuid.Parse(one.GetImpressionId())
			if err != nil {
				c.score.failed("impression id " + one.GetImpressionId())
				continue
			}
			select {
			case c.supply <- &impression{id: id, adID: ad, token: one.GetToken()}:
			case <-c.closing:
				return
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-c.closing:
			return
		case <-ctx.Done():
			return
		default:
		}
	}
}

// feed hands out clicks at the rate, those that are late at once.
func (c *crowd) feed(ctx context.Context, work chan<- *impression) {
	defer close(work)
	begun := time.Now()
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(n) * time.Second / time.Duration(c.rate))
		if late := time.Since(due); late > time.Second {
			begun = begun.Add(late) // people who found no free tab do not come all at once
		}
		poll.Pause(ctx, time.Until(due))
		select {
		case i := <-c.supply:
			select {
			case work <- i:
				continue
			case <-c.closing:
			case <-ctx.Done():
			}
		case <-c.closing:
		case <-ctx.Done():
		}
		return
	}
}

// click is one impression until it is acknowledged, and perhaps once more.
func (c *crowd) click(ctx context.Context, i *impression) {
	c.mu.Lock()
	c.all = append(c.all, i)
	c.mu.Unlock()
	c.begun.Add(1)
	c.waiting.Add(1)
	n := rand.IntN(len(c.urls))
	if rand.IntN(100) < atOncePercent {
		var both sync.WaitGroup
		for other := range c.urls {
			both.Go(func() { c.try(ctx, i, other) })
		}
		both.Wait()
	}
	c.insist(ctx, i, n)
	c.waiting.Add(-1)
	if rand.IntN(100) < laterPercent {
		c.work.Go(func() {
			select {
			case <-time.After(rand.N(laterMost)):
			case <-c.closing:
			case <-ctx.Done():
				return
			}
			c.try(ctx, i, n+1)
		})
	}
}

// insist clicks until the impression is acknowledged.
func (c *crowd) insist(ctx context.Context, i *impression, n int) {
	for ; !i.settled() && ctx.Err() == nil; n++ {
		if c.try(ctx, i, n); !i.settled() {
			poll.Pause(ctx, againMin+rand.N(againSpread))
		}
	}
}

// try makes one click and takes note of what it came to.
func (c *crowd) try(ctx context.Context, i *impression, n int) {
	c.clicks.Add(1)
	// The HTTP client sends a GET again by itself when a kept connection breaks.
	var writes atomic.Int32
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { writes.Add(1) }})
	sent := time.Now()
	answer, err := client.Click(traced, c.http, c.urls[n%len(c.urls)], i.token)
	ended := time.Now()
	o := outcomeOf(answer, err)
	i.tried(o, sent, ended, answer.ClickedAt, writes.Load() > 1)
	switch o {
	case noAnswer:
		c.score.failed("no answer")
	case refused, unexpected:
		c.score.failed(fmt.Sprintf("status %d", answer.Status))
	case declared:
		c.score.redirected(sent, ended)
		c.score.declared()
	case recorded:
		c.score.redirected(sent, ended)
	}
}

func outcomeOf(answer client.Answer, err error) outcome {
	switch {
	case err != nil:
		return noAnswer
	case answer.Recorded():
		return recorded
	case answer.Status == http.StatusFound:
		return declared
	case answer.Status >= http.StatusInternalServerError:
		return refused
	default:
		return unexpected
	}
}
