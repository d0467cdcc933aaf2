package openloop

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"clickledger/internal/click"
)

const (
	answerBytesMax = 8 << 10

	requestStart    = "GET /click?t="
	clickedAtHeader = "\r\nClickledger-Clicked-At: "
	lengthHeader    = "\r\nContent-Length: "
	headEnd         = "\r\n\r\n"
	statusStart     = "HTTP/1.1 "
	statusExample   = "302"
)

// gateway is one of those that are clicked at.
type gateway struct {
	number int
	host   string
	addr   netip.AddrPort
}

// connection is one keep-alive HTTP/1.1 connection that makes one click at a
// time. Written by hand: a request is one write, an answer one read, nothing
// is allocated.
type connection struct {
	number  int
	gateway gateway
	socket  socket
	open    bool
	busy    bool
	since   time.Time // of being busy, or away
	job     job

	request []byte // complete but for the token
	answer  []byte
	read    int
}

func newConnection(number int, to gateway) *connection {
	request := append([]byte(requestStart), make([]byte, click.TokenLength)...)
	request = append(request, " HTTP/1.1\r\nHost: "+to.host+headEnd...)
	return &connection{number: number, gateway: to, request: request, answer: make([]byte, answerBytesMax)}
}

// send makes a click, connecting first where needed. It returns the kind of
// error, if any.
func (c *connection) send(j job, now time.Time, p *poller) string {
	c.job, c.busy, c.since, c.read = j, true, now, 0
	if !c.open {
		var err error
		if c.socket, err = p.dial(c.gateway.addr, c.number); err != nil {
			return "no connection"
		}
		c.open = true
	}
	copy(c.request[len(requestStart):], j.token)
	// A request of 150 bytes fits the socket's buffer: it holds nothing else.
	if n, err := c.socket.write(c.request); err != nil || n != len(c.request) {
		return "connection lost"
	}
	return ""
}

// receive reads what came. It returns the kind of error, if any.
func (c *connection) receive() (answer response, complete bool, kind string) {
	n, err := c.socket.read(c.answer[c.read:])
	if again(err) {
		return response{}, false, ""
	}
	if err != nil || n == 0 || !c.busy {
		return response{}, false, "connection lost"
	}
	c.read += n
	answer, complete, ok := parse(c.answer[:c.read])
	if !ok || !complete && c.read == len(c.answer) {
		return response{}, false, "bad answer"
	}
	return answer, complete, ""
}

func (c *connection) close() {
	if c.open {
		c.socket.close()
		c.open = false
	}
}

// response is what matters of an answer; it is valid until the next one.
type response struct {
	status    string
	clickedAt []byte
}

// parse reads an answer as net/http writes it: canonical names, a
// Content-Length, no chunks. Anything else is not ok.
func parse(answer []byte) (r response, complete, ok bool) {
	end := bytes.Index(answer, []byte(headEnd))
	if end < 0 {
		return response{}, false, true
	}
	head := answer[:end+2] // with the line end of the last header
	length, err := strconv.Atoi(string(value(head, lengthHeader)))
	if err != nil || len(head) < len(statusStart)+len(statusExample) {
		return response{}, false, false
	}
	if len(answer) < end+len(headEnd)+length {
		return response{}, false, true
	}
	status := statusExample
	if text := head[len(statusStart) : len(statusStart)+len(statusExample)]; string(text) != status {
		status = string(text)
	}
	return response{status: status, clickedAt: value(head, clickedAtHeader)}, true, true
}

func value(head []byte, name string) []byte {
	start := bytes.Index(head, []byte(name))
	if start < 0 {
		return nil
	}
	rest := head[start+len(name):]
	return rest[:bytes.IndexByte(rest, '\r')]
}
