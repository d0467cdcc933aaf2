package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// clickhouseVersion is that of the npm packages which hold the engine.
const clickhouseVersion = "26.7.3-stable.1"

// clickhouseService is one shard of a stack.
func clickhouseService(s stack, n node) service {
	return service{
		name: n.name, what: "ClickHouse 26.7", group: server,
		addrs:    n.addrs,
		installs: []string{"clickhouse"},
		prepare:  func(ctx context.Context, at site) error { return prepareClickHouse(ctx, at, s.clicks, n) },
		command: func(at site) []string {
			return []string{
				at.bin("clickhouse-server"), "--library", at.tool(clickhouseFolder, "libchdb.so"),
				"--config", at.path("etc", n.name+".xml"), "--data", at.data(n.name),
				"--tcp", n.addrs[0], "--http", n.addrs[1],
			}
		},
		ready:       func(ctx context.Context, at site) error { return clickhouseReady(ctx, at, n.addr()) },
		yields:      true,
		stopTimeout: 20 * time.Second,
	}
}

// prepareClickHouse writes the configuration of shard n: every shard knows all.
func prepareClickHouse(ctx context.Context, at site, shards []node, n node) error {
	if err := buildLauncher(ctx, at.folder); err != nil {
		return err
	}
	// The engine forgets its system tables' definitions at each end and stumbles over their data at the next start.
	if err := os.RemoveAll(at.data(n.name, "data", "system")); err != nil {
		return fmt.Errorf("remove system logs: %w", err)
	}
	password := at.settings["CLICKLEDGER_CLICKHOUSE_PASSWORD"]
	all, err := shardAddrs(shards)
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(password))
	values := map[string]any{
		"Log": at.log(n.name + "-server"), "Users": at.path("etc", "clickhouse-users.xml"), "Data": at.data(n.name),
		"Clusters": map[string][]shardAddr{"clickledger": all, "clickledger_home": all[:1]},
		"User":     at.settings["CLICKLEDGER_CLICKHOUSE_USER"], "Password": password, "PasswordSHA256": hex.EncodeToString(hash[:]),
	}
	if err := writeConfig(at, "clickhouse-users.xml", values); err != nil {
		return err
	}
	return writeConfigAs(at, "clickhouse.xml", n.name+".xml", values)
}

// shardAddr is where the other shards find one.
type shardAddr struct{ Host, Port string }

func shardAddrs(shards []node) ([]shardAddr, error) {
	var all []shardAddr
	for _, n := range shards {
		host, port, err := net.SplitHostPort(n.addr())
		if err != nil {
			return nil, fmt.Errorf("read address: %w", err)
		}
		all = append(all, shardAddr{host, port})
	}
	return all, nil
}

// clickhouseReady pings over the native protocol with the programs' own credentials.
func clickhouseReady(ctx context.Context, at site, addr string) error {
	connection, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{addr},
		Auth:        clickhouse.Auth{Username: at.settings["CLICKLEDGER_CLICKHOUSE_USER"], Password: at.settings["CLICKLEDGER_CLICKHOUSE_PASSWORD"]},
		DialTimeout: probeTimeout,
	})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer connection.Close()
	if err := connection.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}
