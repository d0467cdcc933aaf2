package main

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// dispatchInterval is how often due clicks are handed out: together, because
// a timer for each would cost more than the click.
const dispatchInterval = time.Millisecond

// job is one click to make.
type job struct {
	due   time.Time
	token []byte
	ad    uint32
}

// sender makes the clicks, each at its time.
type sender struct {
	url         string
	connections int
	rate        int
	supply      *supply
	tally       *tally
}

// run makes all clicks of the supply and returns how long that took, from the
// first being due to the last being answered.
func (s *sender) run(ctx context.Context) (time.Duration, error) {
	target, err := url.Parse(s.url)
	if err != nil {
		return 0, fmt.Errorf("read the gateway's address: %w", err)
	}
	jobs := make(chan job, s.connections)
	var wait sync.WaitGroup
	for range s.connections {
		c := newConnection(target.Host, s.tally)
		wait.Go(func() { c.work(jobs) })
	}
	begin := time.Now()
	err = s.dispatch(ctx, begin, jobs)
	close(jobs)
	wait.Wait()
	return time.Since(begin), err
}

// dispatch hands out what is due. When all connections are busy it waits for
// one; the clicks behind are then late, and their latency says so.
func (s *sender) dispatch(ctx context.Context, begin time.Time, jobs chan<- job) error {
	interval := float64(time.Second) / float64(s.rate)
	number := 0
	for {
		current, err := s.supply.next()
		if current == nil || err != nil {
			return err
		}
		for i := 0; i < len(current.ads); {
			due := begin.Add(time.Duration(float64(number) * interval))
			if ahead := time.Until(due); ahead > 0 {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				time.Sleep(max(ahead, dispatchInterval))
				continue
			}
			jobs <- job{due: due, token: current.token(i), ad: current.ads[i]}
			i++
			number++
		}
	}
}
