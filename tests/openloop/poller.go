package openloop

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// eventsMax is how many ready sockets are taken at once.
const eventsMax = 256

// poller tells which sockets can be read (Linux, epoll(7), level-triggered).
type poller struct {
	epoll  int
	events []syscall.EpollEvent
	ready  []int
}

func newPoller() (*poller, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create poller: %w", err)
	}
	return &poller{epoll: epoll, events: make([]syscall.EpollEvent, eventsMax)}, nil
}

func (p *poller) close() { _ = syscall.Close(p.epoll) }

// wait sleeps for a time and answers the numbers of the sockets that can be
// read then. The result is valid until the next call.
func (p *poller) wait(timeout time.Duration) ([]int, error) {
	pause := syscall.NsecToTimespec(timeout.Nanoseconds())
	_ = syscall.Nanosleep(&pause, nil) // a signal only wakes it early
	n, err := syscall.EpollWait(p.epoll, p.events, 0)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return nil, fmt.Errorf("wait for answers: %w", err)
	}
	p.ready = p.ready[:0]
	for _, event := range p.events[:max(n, 0)] {
		p.ready = append(p.ready, int(event.Fd))
	}
	return p.ready, nil
}

// socket is a connected TCP socket that never blocks.
type socket int

// dial connects, blocking: to this machine that is immediate. The number is
// what wait reports.
func (p *poller) dial(addr netip.AddrPort, number int) (socket, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("make socket: %w", err)
	}
	err = errors.Join(
		syscall.Connect(fd, &syscall.SockaddrInet4{Addr: addr.Addr().Unmap().As4(), Port: int(addr.Port())}),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
		// The event's Fd is only handed back: it holds the number.
		syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(number)}))
	if err != nil {
		_ = syscall.Close(fd)
		return 0, fmt.Errorf("connect: %w", err)
	}
	return socket(fd), nil
}

func (s socket) write(b []byte) (int, error) { return syscall.Write(int(s), b) }
func (s socket) read(b []byte) (int, error)  { return syscall.Read(int(s), b) }
func (s socket) close()                      { _ = syscall.Close(int(s)) }

// again reports whether there was nothing to read yet.
func again(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
}
