package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const kafkaVersion = "4.3.1"

const (
	proxiedListenersCount = 5
	proxiedFirstPort      = 9193 // where the broker listens for a proxy
	proxiesFirstPort      = 9293 // where the proxy listens
)

func kafkaService() service {
	return service{
		name: "kafka", what: "Apache Kafka " + kafkaVersion, group: server,
		addrs:    []string{kafkaAddr, kafkaControllerAddr},
		installs: []string{"kafka"},
		prepare:  prepareKafka,
		command: func(at site) []string {
			return append(kafkaJava(at, "-Xms512m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError",
				// Many short pauses, not a few of 25 ms. Compiling, which wants a whole processor for half a minute after each start,
				// gives way (policy 1 is what makes a compiler's priority count): clicks wait for either.
				"-XX:+UseSerialGC", "-Xmn24m", "-XX:ThreadPriorityPolicy=1", "-XX:CompilerThreadPriority=19",
				"-Dlog4j2.configurationFile="+at.path("etc", "kafka-log4j2.yaml")), "kafka.Kafka", at.path("etc", "kafka.properties"))
		},
		ready:       kafkaReady,
		stopTimeout: 20 * time.Second,
	}
}

// kafkaListener is an entrance to the broker that tells clients another address than its own.
type kafkaListener struct{ Name, Listens, Advertised string }

// proxiedListeners are entrances for clients behind a proxy. A broker tells a client where it is, so one that is to stay behind its
// proxy needs a listener that tells the proxy's address. `just chaos` has one proxy for each of its programs (tests/chaos/links.go).
func proxiedListeners() []kafkaListener {
	listeners := make([]kafkaListener, proxiedListenersCount)
	for i := range listeners {
		listeners[i] = kafkaListener{
			fmt.Sprintf("PROXIED%d", i), fmt.Sprintf("127.0.0.1:%d", proxiedFirstPort+i), fmt.Sprintf("127.0.0.1:%d", proxiesFirstPort+i),
		}
	}
	return listeners
}

// kafkaJava is a Java command line with Kafka's classes; what follows is a class and its arguments.
func kafkaJava(at site, options ...string) []string {
	command := append([]string{"java", "-Djava.awt.headless=true"}, options...)
	return append(command, "-cp", at.tool(kafkaFolder, "libs")+"/*")
}

// prepareKafka writes the configuration and formats the log folder once.
func prepareKafka(ctx context.Context, at site) error {
	values := map[string]any{"Addr": kafkaAddr, "ControllerAddr": kafkaControllerAddr, "Proxied": proxiedListeners(), "Data": at.data("kafka"), "Log": at.log("kafka-server")}
	if err := writeConfig(at, "kafka.properties", values); err != nil {
		return err
	}
	if err := writeConfig(at, "kafka-log4j2.yaml", values); err != nil {
		return err
	}
	if _, err := os.Stat(at.data("kafka", "meta.properties")); err == nil {
		return nil
	}
	var id [16]byte // Kafka's form of a unique id is its 16 bytes in base64
	_, _ = rand.Read(id[:])
	command := kafkaJava(at, "-Dlog4j2.configurationFile="+at.path("etc", "kafka-log4j2.yaml"))
	command = append(command, "kafka.tools.StorageTool", "format", "-t", base64.RawURLEncoding.EncodeToString(id[:]), "-c", at.path("etc", "kafka.properties"))
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format Kafka's log folder: %w: %s", err, lastLine(string(output)))
	}
	return nil
}

// kafkaReady asks what a producer and `setup` need: a broker in the metadata and a controller that answers.
func kafkaReady(ctx context.Context, _ site) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafkaAddr), kgo.DialTimeout(probeTimeout), kgo.RequestRetries(0))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("ask for metadata: %w", err)
	}
	if len(metadata.Brokers) == 0 || metadata.Controller < 0 {
		return errors.New("no broker is registered yet")
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
