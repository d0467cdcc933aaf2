package traffic

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/poll"
)

const (
	// One tab clicks some thirty impressions a second: every tenth waits, to be
	// clicked twice.
	tabPerSecond = 20
	streamTabs   = 8 // at least
	issuedAtOnce = 1000
	// catchUpMax is how far behind its schedule a stream may be to catch up;
	// what was not clicked during an outage is not clicked all at once after it.
	catchUpMax = time.Second
)

// Stream is steady light traffic while something else happens: every click is
// insisted on until it is acknowledged, every tenth impression is clicked twice.
type Stream struct {
	clicker *Clicker
	stop    chan struct{}
	done    sync.WaitGroup
	again   atomic.Int64
}

// NewStream issues impressions (before anything is stopped) and begins to click
// them, perSecond in all, until Stop or until they are used up.
func NewStream(ctx context.Context, admin *client.API, c *Clicker, ads []int64, impressions, perSecond int) (*Stream, error) {
	var issued []*Impression
	for len(issued) < impressions {
		next, err := Issue(ctx, admin, ads[rand.IntN(len(ads))], min(issuedAtOnce, impressions-len(issued)))
		if err != nil {
			return nil, err
		}
		issued = append(issued, next...)
	}
	rand.Shuffle(len(issued), func(i, j int) { issued[i], issued[j] = issued[j], issued[i] })
	s := &Stream{clicker: c, stop: make(chan struct{})}
	work := make(chan *Impression)
	s.done.Go(func() { s.feed(issued, work, time.Second/time.Duration(perSecond)) })
	for range max(streamTabs, perSecond/tabPerSecond) {
		s.done.Go(func() {
			for impression := range work {
				s.click(ctx, impression)
			}
		})
	}
	return s, nil
}

func (s *Stream) feed(issued []*Impression, work chan<- *Impression, interval time.Duration) {
	defer close(work)
	due := time.Now()
	for _, impression := range issued {
		due = due.Add(interval)
		if time.Since(due) > catchUpMax {
			due = time.Now()
		}
		select {
		case <-time.After(time.Until(due)):
		case <-s.stop:
			return
		}
		select {
		case work <- impression:
		case <-s.stop:
			return
		}
	}
}

func (s *Stream) click(ctx context.Context, i *Impression) {
	if rand.IntN(10) == 0 {
		_, _ = s.clicker.AtOnce(ctx, i, 2)
		poll.Pause(ctx, insistInterval)
	}
	s.again.Add(int64(s.clicker.Insist(ctx, i) - 1))
}

// Stop ends the traffic once what was begun is acknowledged. It returns how
// many clicks had to be repeated because they were not.
func (s *Stream) Stop() (repeated int64) {
	close(s.stop)
	s.done.Wait()
	return s.again.Load()
}
