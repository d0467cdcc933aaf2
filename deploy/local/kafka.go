package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const kafkaVersion = "4.3.1"

const (
	proxiedListenersCount = 6    // one for each program of `just chaos`
	proxiedFirstPort      = 9193 // where the first broker listens for a proxy
	proxiesFirstPort      = 9243 // where the proxy listens
	proxiedBrokerPorts    = 10   // from one broker's to the next one's
)

// broker is one Kafka of a stack, which votes for the controller too.
type broker struct {
	node
	number int // from 0
	all    []node
}

func kafkaService(s stack, i int) service {
	b := broker{node: s.kafka[i], number: i, all: s.kafka}
	return service{
		name: b.name, what: "Apache Kafka " + kafkaVersion, group: server,
		addrs:    b.addrs,
		installs: []string{"kafka"},
		prepare:  b.prepare,
		command: func(at site) []string {
			options := []string{
				"-Xms512m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError",
				// Many short pauses, not a few of 25 ms. Compiling, which wants a whole processor for half a minute after each start,
				// gives way (policy 1 is what makes a compiler's priority count): clicks wait for either.
				"-XX:+UseSerialGC", "-Xmn24m", "-XX:ThreadPriorityPolicy=1", "-XX:CompilerThreadPriority=19",
				"-Dlog4j2.configurationFile=" + at.path("etc", "kafka-log4j2.yaml"),
			}
			if len(s.kafka) > 1 {
				// Each has a part of the work, so the second compiler, which waits until a method was used often, is at it for many
				// minutes in each, and has a third of their CPU meanwhile. What the first makes is dearer only once it would be done.
				// Three brokers and all else on one machine's processors find little of their code and heap in its caches: large pages
				// save the translation at least.
				options = append(options, "-XX:TieredStopAtLevel=1", "-XX:+UseTransparentHugePages")
			}
			return append(kafkaJava(at, options...), "kafka.Kafka", b.properties(at))
		},
		ready:       func(ctx context.Context, _ site) error { return b.ready(ctx) },
		stopTimeout: 20 * time.Second,
	}
}

// kafkaListener is an entrance to the broker that tells clients another address than its own.
type kafkaListener struct{ Name, Listens, Advertised string }

// proxiedListeners are entrances for clients behind a proxy. A broker tells a client where it is, so one that is to stay behind its
// proxy needs a listener that tells the proxy's address. `just chaos` has one proxy for each of its programs (tests/chaos/links.go).
func (b broker) proxiedListeners() []kafkaListener {
	listeners := make([]kafkaListener, proxiedListenersCount)
	for i := range listeners {
		offset := b.number*proxiedBrokerPorts + i
		listeners[i] = kafkaListener{fmt.Sprintf("PROXIED%d", i), local(proxiedFirstPort + offset)[0], local(proxiesFirstPort + offset)[0]}
	}
	return listeners
}

// kafkaJava is a Java command line with Kafka's classes; what follows is a class and its arguments.
func kafkaJava(at site, options ...string) []string {
	command := append([]string{"java", "-Djava.awt.headless=true"}, options...)
	return append(command, "-cp", at.tool(kafkaFolder, "libs")+"/*")
}

func (b broker) properties(at site) string { return at.path("etc", b.name+".properties") }

// id is the broker's in the cluster.
func (b broker) id() int { return b.number + 1 }

// voters are all brokers, as controller.quorum.voters has them.
func (b broker) voters() string {
	var voters []string
	for i, n := range b.all {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, n.addrs[1]))
	}
	return strings.Join(voters, ",")
}

// clusterID is Kafka's form of a unique id, 16 bytes in base64: one for each folder, so that all its brokers have the same.
func clusterID(at site) string {
	sum := sha256.Sum256([]byte(at.root))
	sum[0] &= 0x7f // else it may begin with a dash, which Kafka's tool takes for an option
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// prepare writes the configuration and formats the log folder once.
func (b broker) prepare(ctx context.Context, at site) error {
	values := map[string]any{
		"ID": b.id(), "Voters": b.voters(), "Addr": b.addr(), "ControllerAddr": b.addrs[1], "Proxied": b.proxiedListeners(),
		"Data": at.data(b.name), "Log": at.log(b.name + "-server"),
		"Copies": len(b.all), "CopiesMin": len(b.all)/2 + 1,
	}
	if err := writeConfigAs(at, "kafka.properties", b.name+".properties", values); err != nil {
		return err
	}
	if err := writeConfig(at, "kafka-log4j2.yaml", values); err != nil {
		return err
	}
	if _, err := os.Stat(at.data(b.name, "meta.properties")); err == nil {
		return nil
	}
	command := kafkaJava(at, "-Dlog4j2.configurationFile="+at.path("etc", "kafka-log4j2.yaml"))
	command = append(command, "kafka.tools.StorageTool", "format", "-t", clusterID(at), "-c", b.properties(at))
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format Kafka's log folder: %w: %s", err, lastLine(string(output)))
	}
	return nil
}

// ready asks what a producer and `setup` need: this broker in the metadata and a controller that answers.
func (b broker) ready(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr()), kgo.DialTimeout(probeTimeout), kgo.RequestRetries(0))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("ask for metadata: %w", err)
	}
	if !slices.Contains(metadata.Brokers.NodeIDs(), int32(b.id())) || metadata.Controller < 0 {
		return errors.New("the broker is not registered yet")
	}
	// Validated by the controller, not created: it answers as soon as topics can be made.
	answers, err := admin.ValidateCreateTopics(ctx, 1, 1, nil, "clickledger.ready")
	if err != nil {
		return fmt.Errorf("ask the controller: %w", err)
	}
	if err := answers.Error(); err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
		return fmt.Errorf("ask the controller: %w", err)
	}
	return nil
}
