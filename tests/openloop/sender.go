package openloop

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"clickledger/internal/turn"
)

const (
	// loopInterval is how long the loop sleeps between two looks: how late a click may be sent, and an answer be read. A look at
	// several sockets at once costs the machine that is measured half of what a wake-up for each answer would.
	loopInterval  = 500 * time.Microsecond
	answerTimeout = 10 * time.Second
	checkInterval = 250 * time.Millisecond
	// dialPause is how long a connection that could not be made stays away.
	dialPause = 100 * time.Millisecond

	latencyMax = time.Minute
	// slow is what nobody should wait for: which seconds had most of it says
	// whether a tail is spread or came in one burst, and when.
	slow          = 25 * time.Millisecond
	latencyDigits = 3
)

// Sender makes the clicks, each at its time. It is one loop over readiness
// events instead of a goroutine for each connection: it shares the machine
// with what it measures, and this takes half the CPU.
type Sender struct {
	URLs        []string // of the gateways: each has as many connections, and gets as many clicks
	Connections int
	// InTurn has each click made over the connection that rested longest, as people do, who have one each and do not click again at
	// once. Otherwise it is the one used last: the sooner a gateway answers the fewer are in use, and those are in the caches of
	// processors, so that what a click costs depends on how long the one before had to wait.
	InTurn bool
	Rate   int
	WarmUp int // clicks before those that are measured
	Supply *Supply
	Tally  *Tally

	poller  *poller
	all     []*connection
	idle    idle
	away    []*connection // could not be made, by time
	checked time.Time

	schedule schedule
	measured time.Time               // clicks due before it warm the system up
	latency  *hdrhistogram.Histogram // microseconds, from when the click was due
	slow     map[int64]int           // clicks over slow, by the Unix second they were due in
	minute   minuteCounts            // of the last answer
	errors   map[string]int64
	answered int64
}

// Run makes all clicks of the supply and returns how long those that are
// measured took, from the first being due to the last being answered.
func (s *Sender) Run(ctx context.Context) (elapsed time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// People's browsers run on machines of their own: what is measured must not keep the clock waiting.
	turn.Take(turn.Prompt)
	defer turn.Take(turn.Usual)
	if err := s.open(); err != nil {
		return 0, err
	}
	defer s.close()
	s.schedule = schedule{supply: s.Supply, begin: time.Now(), interval: float64(time.Second) / float64(s.Rate), warmUp: s.WarmUp}
	s.measured = s.schedule.measured()
	for ctx.Err() == nil {
		more, err := s.sendDue()
		if err != nil {
			return 0, err
		}
		if !more && s.idle.count+len(s.away) == len(s.all) {
			s.Tally.add(s)
			return time.Since(s.measured), nil
		}
		if err := s.receive(); err != nil {
			return 0, err
		}
		s.check(time.Now())
	}
	return 0, ctx.Err()
}

// open resolves the gateways and makes the connections, not yet connected.
func (s *Sender) open() error {
	gateways, err := resolve(s.URLs)
	if err != nil {
		return err
	}
	if s.poller, err = newPoller(); err != nil {
		return err
	}
	s.latency = hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigits)
	s.errors, s.slow = map[string]int64{}, map[int64]int{}
	s.idle = newIdle(len(gateways), s.InTurn)
	for i := range s.Connections {
		c := newConnection(i, gateways[i%len(gateways)])
		s.all = append(s.all, c)
		s.idle.put(c)
	}
	return nil
}

// resolve finds where the gateways listen.
func resolve(urls []string) ([]gateway, error) {
	var gateways []gateway
	for i, text := range urls {
		target, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read a gateway's address: %w", err)
		}
		resolved, err := net.ResolveTCPAddr("tcp4", target.Host)
		if err != nil {
			return nil, fmt.Errorf("find a gateway: %w", err)
		}
		gateways = append(gateways, gateway{i, target.Host, resolved.AddrPort()})
	}
	return gateways, nil
}

func (s *Sender) close() {
	for _, c := range s.all {
		c.close()
	}
	s.poller.close()
}

// sendDue makes the clicks that are due while there are idle connections. When
// there are none the clicks behind get late, and their latency says so. More is
// false when the last click was sent.
func (s *Sender) sendDue() (more bool, err error) {
	now := time.Now()
	for s.idle.count > 0 {
		next, ok, err := s.schedule.due(now)
		if err != nil {
			return false, err
		}
		if !ok {
			return !s.schedule.ended, nil
		}
		c := s.idle.take()
		if kind := c.send(next, now, s.poller); kind != "" {
			s.fail(c, kind)
		}
	}
	return !s.schedule.ended, nil
}

// receive sleeps a moment and reads the answers that came.
func (s *Sender) receive() error {
	ready, err := s.poller.wait(loopInterval)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, number := range ready {
		c := s.all[number]
		answer, complete, kind := c.receive()
		switch {
		case kind != "" && c.busy:
			s.fail(c, kind)
		case kind != "": // closed by the gateway while idle: connected again when needed
			c.close()
		case complete:
			s.record(c, answer, now)
			c.busy = false
			s.idle.put(c)
		}
	}
	return nil
}

// record takes the answer to the connection's click.
func (s *Sender) record(c *connection, answer response, now time.Time) {
	s.time(c.job, now)
	if !c.job.due.Before(s.measured) {
		s.answered++
	}
	switch {
	case answer.status == "302" && len(answer.clickedAt) > 0:
		if !s.minute.is(answer.clickedAt) && !s.turn(answer.clickedAt) {
			s.count(c.job, "unreadable time")
			return
		}
		s.minute.ads[c.job.ad]++
	case answer.status == "302":
		s.count(c.job, "not recorded")
	default:
		s.count(c.job, "status "+answer.status)
	}
}

// time takes how long an answer took, however it came.
func (s *Sender) time(j job, now time.Time) {
	if j.due.Before(s.measured) {
		return
	}
	took := now.Sub(j.due)
	_ = s.latency.RecordValue(min(took, latencyMax).Microseconds())
	if took > slow {
		s.slow[j.due.Unix()]++
	}
}

// turn takes the counts of another minute.
func (s *Sender) turn(clickedAt []byte) bool {
	minute, err := time.Parse(minuteLayout, string(clickedAt[:min(len(clickedAt), len(minuteLayout))]))
	if err == nil {
		s.minute = s.Tally.minute(minute)
	}
	return err == nil
}

// fail gives up a click and its connection, which stays away for a moment.
func (s *Sender) fail(c *connection, kind string) {
	s.time(c.job, time.Now())
	s.count(c.job, kind)
	c.close()
	c.busy = false
	c.since = time.Now()
	s.away = append(s.away, c)
}

func (s *Sender) count(j job, kind string) {
	s.errors[kind]++
	s.Tally.uncertain(j.ad, j.due)
}

// check gives up what waits too long and takes back who was away long enough.
func (s *Sender) check(now time.Time) {
	for len(s.away) > 0 && now.Sub(s.away[0].since) >= dialPause {
		s.idle.put(s.away[0])
		s.away = s.away[1:]
	}
	if now.Sub(s.checked) < checkInterval {
		return
	}
	s.checked = now
	for _, c := range s.all {
		if c.busy && now.Sub(c.since) > answerTimeout {
			s.fail(c, "timeout")
		}
	}
}
