package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"clickledger/internal/click"
)

const (
	// answerTimeout is renewed only now and then: setting a deadline costs.
	answerTimeout   = 10 * time.Second
	deadlineRenewal = 4 * time.Second
	dialTimeout     = 5 * time.Second
	dialPause       = 100 * time.Millisecond
	answerBytesMax  = 8 << 10

	latencyMax    = time.Minute
	latencyDigits = 3
)

// connection is one keep-alive HTTP/1.1 connection that makes one click at a
// time. It is written by hand because it shares the machine with what it
// measures: a request is one write, an answer one or two reads, nothing is
// allocated.
type connection struct {
	addr    string
	tally   *tally
	latency *hdrhistogram.Histogram // microseconds

	conn     net.Conn
	deadline time.Time
	request  []byte // complete but for the token
	answer   []byte
	minute   minuteCounts // of the last answer
	errors   map[string]int64
	answered int64
}

var requestStart = []byte("GET /click?t=") //nolint:gochecknoglobals // never changed

func newConnection(addr string, t *tally) *connection {
	request := append([]byte(nil), requestStart...)
	request = append(request, make([]byte, click.TokenLength)...)
	request = append(request, " HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"...)
	return &connection{
		addr: addr, tally: t, request: request, answer: make([]byte, answerBytesMax),
		latency: hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigits),
		errors:  map[string]int64{},
	}
}

// work makes the clicks of jobs until they end, then adds up.
func (c *connection) work(jobs <-chan job) {
	for j := range jobs {
		c.click(j)
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.tally.add(c)
}

func (c *connection) click(j job) {
	answer, err := c.exchange(j.token)
	now := time.Now()
	_ = c.latency.RecordValue(min(now.Sub(j.due), latencyMax).Microseconds())
	if err != nil {
		c.failed(j, kindOf(err))
		if c.conn != nil {
			_ = c.conn.Close()
			c.conn = nil
		}
		return
	}
	c.answered++
	switch clickedAt := answer.clickedAt; {
	case answer.status == "302" && len(clickedAt) > 0:
		if !c.minute.is(clickedAt) && !c.turn(clickedAt) {
			c.failed(j, "unreadable time")
			return
		}
		c.minute.ads[j.ad].Add(1)
	case answer.status == "302":
		c.failed(j, "not recorded")
	default:
		c.failed(j, "status "+answer.status)
	}
}

// turn takes the counts of another minute.
func (c *connection) turn(clickedAt []byte) bool {
	minute, err := time.Parse(minuteLayout, string(clickedAt[:min(len(clickedAt), len(minuteLayout))]))
	if err == nil {
		c.minute = c.tally.minute(minute)
	}
	return err == nil
}

func (c *connection) failed(j job, kind string) {
	c.errors[kind]++
	c.tally.uncertain(j.ad, j.due)
}

// exchange sends one click and reads its answer.
func (c *connection) exchange(token []byte) (response, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.addr, dialTimeout)
		if err != nil {
			time.Sleep(dialPause)
			return response{}, err
		}
		c.conn, c.deadline = conn, time.Time{}
	}
	if now := time.Now(); c.deadline.Sub(now) < answerTimeout-deadlineRenewal {
		c.deadline = now.Add(answerTimeout)
		if err := c.conn.SetDeadline(c.deadline); err != nil {
			return response{}, err
		}
	}
	copy(c.request[len(requestStart):], token)
	if _, err := c.conn.Write(c.request); err != nil {
		return response{}, err
	}
	read := 0
	for {
		if read == len(c.answer) {
			return response{}, errAnswerTooLong
		}
		n, err := c.conn.Read(c.answer[read:])
		if err != nil {
			return response{}, err
		}
		read += n
		if answer, complete, err := parse(c.answer[:read]); complete || err != nil {
			return answer, err
		}
	}
}

// response is what matters of an answer; it is valid until the next exchange.
type response struct {
	status    string
	clickedAt []byte
}

var (
	errAnswerTooLong = errors.New("the answer is too long")
	errAnswerShape   = errors.New("the answer is not plain HTTP/1.1")

	headEnd         = []byte("\r\n\r\n")                     //nolint:gochecknoglobals // never changed
	clickedAtHeader = []byte("\r\nClickledger-Clicked-At: ") //nolint:gochecknoglobals // never changed
	lengthHeader    = []byte("\r\nContent-Length: ")         //nolint:gochecknoglobals // never changed
)

// parse reads an answer as net/http writes it: canonical names, a
// Content-Length, no chunks.
func parse(answer []byte) (response, bool, error) {
	end := bytes.Index(answer, headEnd)
	if end < 0 {
		return response{}, false, nil
	}
	head := answer[:end+2] // with the line end of the last header
	length, err := strconv.Atoi(string(value(head, lengthHeader)))
	if err != nil || len(head) < len("HTTP/1.1 302") {
		return response{}, false, errAnswerShape
	}
	if len(answer) < end+len(headEnd)+length {
		return response{}, false, nil
	}
	status := "302"
	if text := head[len("HTTP/1.1 "):len("HTTP/1.1 302")]; string(text) != status {
		status = string(text)
	}
	return response{status: status, clickedAt: value(head, clickedAtHeader)}, true, nil
}

func value(head, name []byte) []byte {
	start := bytes.Index(head, name)
	if start < 0 {
		return nil
	}
	rest := head[start+len(name):]
	return rest[:bytes.IndexByte(rest, '\r')]
}

func kindOf(err error) string {
	var failed *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, errAnswerShape), errors.Is(err, errAnswerTooLong):
		return "bad answer"
	case errors.As(err, &failed) && failed.Op == "dial":
		return "no connection"
	default:
		return "connection lost"
	}
}
