package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"
)

// settings are the lines of the stack's env file (.local/env): how programs, tests and operators reach the local stack, secrets included.
type settings map[string]string

// variable is one line of .local/env: its name and the value it begins with.
type variable struct {
	name  string
	value func() string
}

// gatewaysVariable lists all gateways of the stack, host:port[,host:port…]: for what clicks at them. No program reads it.
const gatewaysVariable = "STACK_GATEWAYS"

// variables lists every setting in the order of the file. Append to it; a file of an older list gets what it lacks.
func (s stack) variables() []variable {
	fixed := func(value string) func() string { return func() string { return value } }
	return []variable{
		{"CLICKLEDGER_NAMESPACE", fixed("clickledger")},
		{"CLICKLEDGER_TOKEN_KEYS", func() string { return "1:" + randomHex(32) }},
		{"CLICKLEDGER_ADMIN_KEY", func() string { return randomHex(24) }},
		{"CLICKLEDGER_KAFKA_BROKERS", fixed(addrsOf(s.kafka))},
		{"CLICKLEDGER_CLICKHOUSE_ADDRS", fixed(addrsOf(s.clicks))},
		{"CLICKLEDGER_CLICKHOUSE_USER", fixed("clickledger")},
		{"CLICKLEDGER_CLICKHOUSE_PASSWORD", func() string { return randomHex(16) }},
		{"CLICKLEDGER_VALKEY_CACHE_ADDR", fixed(valkeyCacheAddr)},
		{"CLICKLEDGER_VALKEY_SEEN_ADDR", fixed(addrsOf(s.seen))},
		{"CLICKLEDGER_VALKEY_PASSWORD", func() string { return randomHex(16) }},
		{"CLICKLEDGER_S3_ENDPOINT", fixed(minioAddr)},
		{"CLICKLEDGER_S3_ACCESS_KEY", fixed("clickledger")},
		{"CLICKLEDGER_S3_SECRET_KEY", func() string { return randomHex(16) }},
		{"CLICKLEDGER_TEMPORAL_ADDR", fixed(temporalAddr)},
		{"CLICKLEDGER_PUBLIC_URL", fixed("http://" + s.gateways[0].addr())},
		{"CLICKLEDGER_GATEWAY_LISTEN", fixed(s.gateways[0].addr())},
		{"CLICKLEDGER_GATEWAY_OPS_LISTEN", fixed(s.gateways[0].ops())},
		{"CLICKLEDGER_INGESTER_OPS_LISTEN", fixed(s.ingesters[0].ops())},
		{"CLICKLEDGER_AGGREGATOR_OPS_LISTEN", fixed(s.aggregators[0].ops())},
		{gatewaysVariable, fixed(addrsOf(s.gateways))},
		{"CLICKLEDGER_KAFKA_REPLICAS", fixed(strconv.Itoa(len(s.kafka)))},
		{"CLICKLEDGER_PRODUCE_LINGER", fixed(s.linger)},
		{"CLICKLEDGER_BATCH_INTERVAL", fixed(s.batch)},
		{"CLICKLEDGER_PRODUCE_TIMEOUT", fixed(s.timeout)},
	}
}

// randomHex makes a secret of n random bytes, two characters each.
func randomHex(n int) string {
	secret := make([]byte, n)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return hex.EncodeToString(secret)
}

// ensureSettings reads the file and adds the variables it lacks. A line that is there is never touched.
func ensureSettings(at folder) (settings, error) {
	path := at.envFile()
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	known, err := parseSettings(content)
	if err != nil {
		return nil, fmt.Errorf("read settings in %s: %w", path, err)
	}
	complete := addMissing(content, known, at.stack)
	if bytes.Equal(complete, content) {
		return known, nil
	}
	if err := writePrivate(path, complete); err != nil {
		return nil, err
	}
	return known, nil
}

// addMissing appends the missing variables to the file's content, and to known.
func addMissing(content []byte, known settings, s stack) []byte {
	complete := bytes.Clone(content)
	if len(complete) > 0 && complete[len(complete)-1] != '\n' {
		complete = append(complete, '\n')
	}
	for _, v := range s.variables() {
		if _, ok := known[v.name]; ok {
			continue
		}
		known[v.name] = v.value()
		complete = append(complete, v.name+"="+known[v.name]+"\n"...)
	}
	return complete
}

// parseSettings reads KEY=VALUE lines; empty lines and those that begin with # are skipped. A fault names its line, never its text.
func parseSettings(content []byte) (settings, error) {
	known := settings{}
	for number, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("line %d is not KEY=VALUE", number+1)
		}
		known[name] = value
	}
	return known, nil
}

// with are these settings with others in their place.
func (s settings) with(others settings) settings {
	all := maps.Clone(s)
	maps.Copy(all, others)
	return all
}

// environment is that of a child: this process's own, with the settings and nothing else of the same prefix.
func (s settings) environment() []string {
	var environment []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "CLICKLEDGER_") {
			environment = append(environment, pair)
		}
	}
	for name, value := range s {
		environment = append(environment, name+"="+value)
	}
	return environment
}
