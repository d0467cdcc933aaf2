package main

import (
	"context"
	"time"
)

// Addresses of what there is one of in every stack. All are this machine's own; nothing listens for the world.
const (
	valkeyCacheAddr  = "127.0.0.1:6379"
	minioAddr        = "127.0.0.1:9100"
	minioConsoleAddr = "127.0.0.1:9101"
	temporalAddr     = "127.0.0.1:7233"
	temporalUIAddr   = "127.0.0.1:8233"
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
	// program is which of our programs it is.
	program string
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

// services is the table of the stack.
func (s stack) services() []service {
	var all []service
	for i := range s.kafka {
		all = append(all, kafkaService(s, i))
	}
	for _, n := range s.clicks {
		all = append(all, clickhouseService(s, n))
	}
	all = append(all, valkeyService(node{"valkey-cache", []string{valkeyCacheAddr}}, "Valkey: catalogue cache", valkeyCacheConfig, nil))
	for _, n := range s.seen {
		all = append(all, valkeyService(n, "Valkey: seen index", valkeySeenConfig, s.seenCluster()))
	}
	all = append(all, minioService(), temporalService())
	return append(all, s.programs()...)
}

func (s stack) servicesOf(g group) []service {
	var found []service
	for _, one := range s.services() {
		if one.group == g {
			found = append(found, one)
		}
	}
	return found
}

func (s stack) find(name string) (service, bool) {
	for _, one := range s.services() {
		if one.name == name {
			return one, true
		}
	}
	return service{}, false
}

// names lists the services for messages.
func (s stack) names() []string {
	var names []string
	for _, one := range s.services() {
		names = append(names, one.name)
	}
	return names
}
