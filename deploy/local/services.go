package main

import (
	"context"
	"time"
)

// Addresses of the local stack. All of them are this machine's own; nothing listens for the world.
const (
	kafkaAddr           = "127.0.0.1:9092"
	kafkaControllerAddr = "127.0.0.1:9093"
	clickhouseAddr      = "127.0.0.1:9000"
	clickhouseHTTPAddr  = "127.0.0.1:8123"
	valkeyCacheAddr     = "127.0.0.1:6379"
	valkeySeenAddr      = "127.0.0.1:6380"
	minioAddr           = "127.0.0.1:9100"
	minioConsoleAddr    = "127.0.0.1:9101"
	temporalAddr        = "127.0.0.1:7233"
	temporalUIAddr      = "127.0.0.1:8233"
	gatewayAddr         = "127.0.0.1:8080"
)

// group says when a service starts and stops: programs after the servers, and before them when stopping.
type group string

const (
	server  group = "server"
	program group = "program"
)

// service is one process of the local stack.
type service struct {
	name  string
	what  string // for a person, a few words
	group group
	// addrs are the addresses it listens on; the first is the one to use it by.
	addrs []string
	// installs names what must be installed before it can start.
	installs []string
	// prepare writes its configuration and first data; it may run before every start.
	prepare func(ctx context.Context, at site) error
	// command is the program and its arguments. No secret may be among them: any user of the machine can read them.
	command func(at site) []string
	// environment is what it needs beside .local/env.
	environment func(at site) []string
	// ready returns nil when it can be used, and otherwise what is not so.
	ready func(ctx context.Context, at site) error
	// yields: it gives way when the processors are wanted by the redirect of a click, which a person waits for.
	yields bool
	// stopTimeout is how long it may take to stop by itself.
	stopTimeout time.Duration
}

// site is where a service runs: the folder and its settings.
type site struct {
	folder
	settings settings
}

// services is the table of the local stack.
func services() []service {
	return append([]service{
		kafkaService(),
		clickhouseService(),
		valkeyService("valkey-cache", "Valkey: catalogue cache", valkeyCacheAddr, valkeyCacheConfig),
		valkeyService("valkey-seen", "Valkey: seen index", valkeySeenAddr, valkeySeenConfig),
		minioService(),
		temporalService(),
	}, programServices()...)
}

func servicesOf(g group) []service {
	var found []service
	for _, s := range services() {
		if s.group == g {
			found = append(found, s)
		}
	}
	return found
}

func findService(name string) (service, bool) {
	for _, s := range services() {
		if s.name == name {
			return s, true
		}
	}
	return service{}, false
}

// serviceNames lists the names for messages.
func serviceNames() []string {
	var names []string
	for _, s := range services() {
		names = append(names, s.name)
	}
	return names
}
