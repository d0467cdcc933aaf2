// Package traffic clicks impressions over HTTP and tells the oracle what the
// answers promised.
package traffic

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

// insistInterval is how long a person waits before clicking again.
const insistInterval = 250 * time.Millisecond

// Clicker is one browser's way to the gateway.
type Clicker struct {
	HTTP   *http.Client
	URL    string
	Oracle *oracle.Oracle
}

// NewClicker is a clicker with connections of its own.
func NewClicker(url string, o *oracle.Oracle) *Clicker {
	return &Clicker{HTTP: client.NewHTTP(), URL: url, Oracle: o}
}

// Impression is an impression and what is known of its clicks. It is safe for
// concurrent use.
type Impression struct {
	AdID  int64
	Token string

	mu           sync.Mutex
	acknowledged bool
	times        []time.Time // that it may count at
}

// Issue is count impressions of an ad.
func Issue(ctx context.Context, a *client.API, adID int64, count int) ([]*Impression, error) {
	issued, err := a.Issue(ctx, adID, count)
	if err != nil {
		return nil, err
	}
	impressions := make([]*Impression, len(issued))
	for i, one := range issued {
		impressions[i] = &Impression{AdID: adID, Token: one.GetToken()}
	}
	return impressions, nil
}

// Click makes one click and remembers what it may count as.
func (c *Clicker) Click(ctx context.Context, i *Impression) (client.Answer, error) {
	settled := i.settled()
	sent := time.Now()
	answer, err := client.Click(ctx, c.HTTP, c.URL, i.Token)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case settled: // an earlier click had been acknowledged: it comes first in the stream
	case err == nil && answer.Recorded():
		i.acknowledged = true
		i.times = append(i.times, answer.ClickedAt)
	case err != nil || answer.Status >= http.StatusInternalServerError:
		// It may have reached the stream all the same.
		i.times = append(i.times, sent, time.Now())
	}
	return answer, err
}

func (i *Impression) settled() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.acknowledged
}

// AtOnce makes copies of a click at the same instant.
func (c *Clicker) AtOnce(ctx context.Context, i *Impression, copies int) (answers []client.Answer, errs []error) {
	return AtOnce(ctx, i, slices.Repeat([]*Clicker{c}, copies)...)
}

// AtOnce makes a click on an impression by each of the clickers, which may be
// those of several gateways, at the same instant.
func AtOnce(ctx context.Context, i *Impression, clickers ...*Clicker) (answers []client.Answer, errs []error) {
	answers, errs = make([]client.Answer, len(clickers)), make([]error, len(clickers))
	start := make(chan struct{})
	var all sync.WaitGroup
	for n, c := range clickers {
		all.Go(func() {
			<-start
			answers[n], errs[n] = c.Click(ctx, i)
		})
	}
	close(start)
	all.Wait()
	return answers, errs
}

// Insist clicks until the click is acknowledged, as a patient person does, or
// until ctx ends, and tells the oracle. It returns how often it clicked.
func (c *Clicker) Insist(ctx context.Context, i *Impression) int {
	for clicks := 1; ; clicks++ {
		answer, err := c.Click(ctx, i)
		if err == nil && answer.Recorded() || ctx.Err() != nil {
			c.Tell(i)
			return clicks
		}
		poll.Pause(ctx, insistInterval)
	}
}

// Tell reports an impression, all of whose clicks were made, to the oracle.
func (c *Clicker) Tell(i *Impression) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c.Oracle.Add(i.AdID, i.acknowledged, i.times...)
}
