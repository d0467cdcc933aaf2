package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// What the two Valkeys differ in. The cache may forget anything at any time. The seen index may forget nothing while it runs, and
// must come back empty: an old copy of it would say "not seen" of what was.
const (
	valkeyCacheConfig = "maxmemory 256mb\nmaxmemory-policy allkeys-lru\n"
	valkeySeenConfig  = "maxmemory 2gb\nmaxmemory-policy noeviction\nset-max-intset-entries 1024\n"
)

// valkeyService is one Valkey. Cluster is what a member of a Valkey cluster believes at its first start; nil for one of its own.
func valkeyService(n node, what, own string, cluster *valkeyCluster) service {
	return service{
		name: n.name, what: what, group: server,
		addrs:    n.addrs,
		installs: []string{"valkey"},
		prepare: func(_ context.Context, at site) error {
			_, port, err := net.SplitHostPort(n.addr())
			if err != nil {
				return fmt.Errorf("read address: %w", err)
			}
			if cluster != nil {
				if err := cluster.introduce(at, n); err != nil {
					return err
				}
			}
			return writeConfigAs(at, "valkey.conf", n.name+".conf", map[string]any{
				"Port": port, "Data": at.data(n.name), "Password": at.settings["CLICKLEDGER_VALKEY_PASSWORD"], "Own": own, "Cluster": cluster != nil,
			})
		},
		command: func(at site) []string {
			return []string{at.tool(valkeyFolder, "valkey-server"), at.path("etc", n.name+".conf")}
		},
		ready:       func(ctx context.Context, at site) error { return valkeyReady(ctx, at, n.addr(), cluster != nil) },
		stopTimeout: 10 * time.Second,
	}
}

// valkeyReady logs in and pings; a member of a cluster must have found it. Some lines of the protocol need no client.
func valkeyReady(ctx context.Context, at site, addr string, clustered bool) error {
	dialer := net.Dialer{Timeout: probeTimeout}
	connection, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := fmt.Fprintf(connection, "AUTH %s\r\nPING\r\n", at.settings["CLICKLEDGER_VALKEY_PASSWORD"]); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	answers := bufio.NewReader(connection)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := answers.ReadString('\n')
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		if strings.TrimSpace(line) != want {
			return errors.New("answered: " + strings.TrimSpace(line))
		}
	}
	if clustered {
		return valkeyClusterReady(connection, answers)
	}
	return nil
}
