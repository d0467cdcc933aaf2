package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"clickledger/internal/config"
	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/traffic"
)

const (
	zipfExponent   = 1.2
	issuedAtOnce   = 200
	tabsMax        = 64 // clicks at the same time
	clickTimeout   = 10 * time.Second
	latencyMax     = time.Minute
	latencyDigits  = 3
	twinPercent    = 3 // clicked twice at the same instant
	againPercent   = 3 // clicked again later
	forgedPercent  = 2
	expiredPercent = 2
	brokenPercent  = 1
)

// crowd clicks ads at all gateways: mostly once, some twice, some with tokens that
// are wrong.
type crowd struct {
	admin    *client.API
	clickers []*traffic.Clicker // one for each gateway, in turn
	forger   *traffic.Forger
	rate     int
	ads      []int64

	turn    atomic.Uint64
	mu      sync.Mutex
	zipf    *rand.Zipf
	stock   map[int64][]*traffic.Impression
	latency *hdrhistogram.Histogram // microseconds
	answers map[string]int64        // by kind
	clicks  int64
	began   time.Time
	ended   time.Time
}

func newCrowd(c config.Config, gateways []string, admin *client.API, clicked *oracle.Oracle, advertisers []*client.Advertiser, rate int) (*crowd, error) {
	forger, err := traffic.NewForger(c)
	if err != nil {
		return nil, err
	}
	var ads []int64
	for i := range advertisers[0].Ads {
		for _, advertiser := range advertisers {
			ads = append(ads, advertiser.Ads[i].GetAdId())
		}
	}
	var clickers []*traffic.Clicker
	for _, url := range gateways {
		clickers = append(clickers, traffic.NewClicker(url, clicked))
	}
	return &crowd{
		admin: admin, clickers: clickers, forger: forger, rate: rate, ads: ads,
		zipf:    rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), zipfExponent, 1, uint64(len(ads)-1)),
		stock:   map[int64][]*traffic.Impression{},
		latency: hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigits),
		answers: map[string]int64{},
		began:   time.Now(),
	}, nil
}

// click makes clicks until ctx ends, and returns when all are answered.
func (c *crowd) click(ctx context.Context) {
	var tabs sync.WaitGroup
	free := make(chan struct{}, tabsMax)
	ticker := time.NewTicker(time.Second / time.Duration(c.rate))
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			continue
		}
		free <- struct{}{}
		tabs.Go(func() {
			defer func() { <-free }()
			// A click that was begun is brought to its end.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clickTimeout)
			defer cancel()
			c.clickOne(ctx)
		})
	}
	tabs.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = time.Now()
}

// gateways are the URLs that are clicked at.
func (c *crowd) gateways() []string {
	var urls []string
	for _, clicker := range c.clickers {
		urls = append(urls, clicker.URL)
	}
	return urls
}

// next is the way to the gateway whose turn it is.
func (c *crowd) next() *traffic.Clicker {
	return c.clickers[c.turn.Add(1)%uint64(len(c.clickers))]
}

// clickOne is one person with one ad.
func (c *crowd) clickOne(ctx context.Context) {
	impression, err := c.impression(ctx)
	if err != nil {
		c.count("no impression")
		return
	}
	switch dice := rand.IntN(100); {
	case dice < forgedPercent:
		c.clickWrong(ctx, "forged", c.forger.Forged(impression.AdID))
	case dice < forgedPercent+expiredPercent:
		c.clickWrong(ctx, "expired", c.forger.Expired(impression.AdID))
	case dice < forgedPercent+expiredPercent+brokenPercent:
		c.clickWrong(ctx, "malformed", impression.Token[1:])
	case dice < forgedPercent+expiredPercent+brokenPercent+twinPercent:
		_, _ = traffic.AtOnce(ctx, impression, c.next(), c.next()) // at two gateways, if there are
		c.count("clicked twice at once")
	case dice < forgedPercent+expiredPercent+brokenPercent+twinPercent+againPercent:
		c.clickGood(ctx, impression)
		_, _ = c.next().Click(ctx, impression)
		c.count("clicked again")
	default:
		c.clickGood(ctx, impression)
	}
	c.clickers[0].Tell(impression) // all know the same oracle
}

func (c *crowd) clickGood(ctx context.Context, i *traffic.Impression) {
	began := time.Now()
	answer, err := c.next().Click(ctx, i)
	took := time.Since(began)
	switch {
	case err != nil:
		c.count("no answer")
	case answer.Recorded():
		c.count("recorded")
	case answer.Status == http.StatusFound:
		c.count("redirected, not recorded")
	default:
		c.count(http.StatusText(answer.Status))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.latency.RecordValue(min(took, latencyMax).Microseconds())
}

func (c *crowd) clickWrong(ctx context.Context, kind, token string) {
	clicker := c.next()
	answer, err := client.Click(ctx, clicker.HTTP, clicker.URL, token)
	if err != nil {
		kind = "no answer"
	}
	if answer.Recorded() {
		kind += " but recorded!"
	}
	c.count(kind)
}

func (c *crowd) count(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[kind]++
	c.clicks++
}

// impression is a fresh one of an ad chosen by its popularity.
func (c *crowd) impression(ctx context.Context) (*traffic.Impression, error) {
	c.mu.Lock()
	adID := c.ads[c.zipf.Uint64()]
	if stock := c.stock[adID]; len(stock) > 0 {
		c.stock[adID] = stock[1:]
		c.mu.Unlock()
		return stock[0], nil
	}
	c.mu.Unlock()
	issued, err := traffic.Issue(ctx, c.admin, adID, issuedAtOnce)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stock[adID] = append(c.stock[adID], issued[1:]...)
	return issued[0], nil
}
