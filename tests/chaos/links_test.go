package main

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// unstarted is a network none of whose proxies listens.
func unstarted(s system) *network {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	n := &network{system: s, proxies: map[link]*toxiproxy.Proxy{}}
	for l, r := range s.routes(map[string]string{}) {
		n.proxies[l] = toxiproxy.NewProxy(server, l.String(), r.listen, r.upstream)
	}
	return n
}

// echo answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				for lines := bufio.NewScanner(connection); lines.Scan(); {
					fmt.Fprintln(connection, lines.Text())
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func ask(addr string, patience time.Duration) error {
	connection, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(connection, "are you there?"); err != nil {
		return err
	}
	_, err = bufio.NewReader(connection).ReadString('\n')
	return err
}

func TestAFaultyConnectionFailsAndIsMended(t *testing.T) {
	const patience = 300 * time.Millisecond // a connection that works needs none of it
	for _, k := range []kind{reset, swallow, cut} {
		for variant := range uint32(3) {
			t.Run(fmt.Sprintf("%s %d", k, variant), func(t *testing.T) {
				t.Parallel()
				server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
				l := link{"program", "server"}
				n := &network{proxies: map[link]*toxiproxy.Proxy{l: toxiproxy.NewProxy(server, l.String(), "127.0.0.1:0", echo(t))}}
				if err := n.proxies[l].Start(); err != nil {
					t.Fatal(err)
				}
				defer n.close()
				addr := n.proxies[l].Listen
				if err := ask(addr, time.Minute); err != nil {
					t.Fatalf("before: %v", err)
				}
				f := fault{kind: k, link: l, variant: variant}
				if err := n.harm(f); err != nil {
					t.Fatal(err)
				}
				if err := ask(addr, patience); err == nil {
					t.Error("the faulty connection works")
				}
				if err := n.mend(f); err != nil {
					t.Fatal(err)
				}
				if err := ask(addr, time.Minute); err != nil {
					t.Errorf("mended: %v", err)
				}
			})
		}
	}
}

func TestEveryFormOfAFaultIsOneThatToxiproxyKnows(t *testing.T) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	l := link{"program", "server"}
	n := &network{proxies: map[link]*toxiproxy.Proxy{l: toxiproxy.NewProxy(server, l.String(), "127.0.0.1:0", "127.0.0.1:1")}}
	for _, k := range linkKinds {
		if k == cut {
			continue
		}
		for variant := range uint32(6) {
			f := fault{kind: k, link: l, variant: variant}
			if err := n.harm(f); err != nil {
				t.Errorf("%s %d: %v", k, variant, err)
			}
			if err := n.mend(f); err != nil {
				t.Error(err)
			}
		}
	}
}
