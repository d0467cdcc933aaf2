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

func clickhouseService() service {
	return service{
		name: "clickhouse", what: "ClickHouse 26.7", group: server,
		addrs:    []string{clickhouseAddr, clickhouseHTTPAddr},
		installs: []string{"clickhouse"},
		prepare:  prepareClickHouse,
		command: func(at site) []string {
			return []string{
				at.bin("clickhouse-server"), "--library", at.tool(clickhouseFolder, "libchdb.so"),
				"--config", at.path("etc", "clickhouse.xml"), "--data", at.data("clickhouse"),
				"--tcp", clickhouseAddr, "--http", clickhouseHTTPAddr,
			}
		},
		ready:       clickhouseReady,
		yields:      true,
		stopTimeout: 20 * time.Second,
	}
}

func prepareClickHouse(ctx context.Context, at site) error {
	if err := buildLauncher(ctx, at.folder); err != nil {
		return err
	}
	// The engine forgets its system tables' definitions at each end and stumbles over their data at the next start.
	if err := os.RemoveAll(at.data("clickhouse", "data", "system")); err != nil {
		return fmt.Errorf("remove system logs: %w", err)
	}
	host, port, err := net.SplitHostPort(clickhouseAddr)
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	password := at.settings["CLICKLEDGER_CLICKHOUSE_PASSWORD"]
	hash := sha256.Sum256([]byte(password))
	values := map[string]any{
		"Log": at.log("clickhouse-server"), "Users": at.path("etc", "clickhouse-users.xml"), "Data": at.data("clickhouse"),
		"Clusters": []string{"clickledger", "clickledger_home"}, "Host": host, "Port": port,
		"User": at.settings["CLICKLEDGER_CLICKHOUSE_USER"], "Password": password, "PasswordSHA256": hex.EncodeToString(hash[:]),
	}
	if err := writeConfig(at, "clickhouse-users.xml", values); err != nil {
		return err
	}
	return writeConfig(at, "clickhouse.xml", values)
}

// clickhouseReady pings over the native protocol with the programs' own credentials.
func clickhouseReady(ctx context.Context, at site) error {
	connection, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{clickhouseAddr},
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
