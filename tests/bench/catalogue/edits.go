package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	api "clickledger/tests/client"
	"clickledger/tests/poll"
)

const (
	effectTimeout  = 30 * time.Second
	effectInterval = time.Millisecond
)

// edits changes an ad again and again at the first gateway, and waits each time
// until both answer by it: as usual, and with the second one's connection to the
// shared cache cut.
func (b *bench) edits(ctx context.Context) error {
	fmt.Printf("changing an ad %d times …\n", 2*b.settings.Edits)
	issued, err := b.admin.Issue(ctx, adID(0), 1)
	if err != nil {
		return err
	}
	r := &b.result
	if r.ChangeP50MS, r.ChangeP99MS, r.ChangeMaxMS, err = b.effects(ctx, "usual", issued[0].GetToken()); err != nil {
		return err
	}
	b.cache.cut()
	r.LostP50MS, r.LostP99MS, r.LostMaxMS, err = b.effects(ctx, "lost", issued[0].GetToken())
	return err
}

// effects are percentiles, in milliseconds.
func (b *bench) effects(ctx context.Context, name, token string) (p50, p99, most float64, err error) {
	clients := []*http.Client{api.NewHTTP(), api.NewHTTP()}
	var took []float64
	for i := range b.settings.Edits {
		url := fmt.Sprintf("https://example.com/%s/%d", name, i)
		if _, err := b.admin.Catalog.UpdateAd(ctx, &clickledgerv1.UpdateAdRequest{AdId: adID(0), LandingUrl: &url}); err != nil {
			return 0, 0, 0, err
		}
		began := time.Now()
		for g, browser := range clients {
			err := poll.Until(ctx, effectTimeout, effectInterval, func(ctx context.Context) error {
				answer, err := api.Click(ctx, browser, b.gateways[g].url, token)
				if err == nil && answer.Location != url {
					err = fmt.Errorf("gateway %d leads to %s, not to %s", g+1, answer.Location, url)
				}
				return err
			})
			if err != nil {
				return 0, 0, 0, err
			}
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
		poll.Pause(ctx, time.Duration(i%7)*50*time.Millisecond) // at all times of the gateways' own rounds
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[min(int(share*float64(len(took))), len(took)-1)] }
	return at(0.5), at(0.99), took[len(took)-1], nil
}

// way is a way to a server that can be cut.
type way struct {
	addr     string
	listener net.Listener

	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

func newWay(ctx context.Context, to string) (*way, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &way{addr: listener.Addr().String(), listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			w.admit(conn, to)
		}
	}()
	return w, nil
}

func (w *way) admit(conn net.Conn, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil || w.isCut {
		_ = conn.Close()
		return
	}
	w.conns = append(w.conns, conn, server)
	go func() { _, _ = io.Copy(server, conn); _ = server.Close() }()
	go func() { _, _ = io.Copy(conn, server); _ = conn.Close() }()
}

// cut ends all connections and takes no more.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	for _, conn := range w.conns {
		_ = conn.Close()
	}
}

func (w *way) close() {
	_ = w.listener.Close()
	w.cut()
}
