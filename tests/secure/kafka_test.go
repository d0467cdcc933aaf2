package secure

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/kafka"
)

// brokerFile is a broker that lets in who shows a certificate and logs in.
const brokerFile = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=SASL_SSL://%[1]s,CONTROLLER://%[2]s,INSIDE://%[3]s
advertised.listeners=SASL_SSL://%[1]s,INSIDE://%[3]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=INSIDE
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_clicker="%[4]s";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=%[5]s
ssl.truststore.type=PEM
ssl.truststore.location=%[6]s
log.dirs=%[7]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
`

func TestKafkaByTLSCertificateAndPassword(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	client := ours.issue(t, "client")
	addr := startBroker(t, ours)
	right := map[string]string{
		"KAFKA_BROKERS": addr, "KAFKA_TLS": "true", "KAFKA_USER": "clicker", "KAFKA_PASSWORD": password, "PRODUCE_TIMEOUT": "10s", "PARTITIONS": "2",
		"KAFKA_REPLICAS": "1", // one broker, whatever the stack has
		"TLS_CA_FILE":    ours.path, "TLS_CERT_FILE": client.certificate, "TLS_KEY_FILE": client.key,
	}
	until(t, "the broker", func(context.Context) error { return setUpKafka(t, right) })
	for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"} {
		if err := produce(t, with(right, "KAFKA_SASL", mechanism)); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
	refused(t, "another authority", setUpKafka(t, with(right, "TLS_CA_FILE", other.path)), "certificate signed by unknown authority")
	refused(t, "without a certificate", setUpKafka(t, with(right, "TLS_CERT_FILE", "", "TLS_KEY_FILE", "")), "certificate", "EOF", "unavailable")
	refused(t, "a wrong password", setUpKafka(t, with(right, "KAFKA_PASSWORD", "wrong")), "uthentication")
	refused(t, "without TLS", setUpKafka(t, with(right, "KAFKA_TLS", "false")), "TLS", "SASL", "EOF", "unavailable")
}

// startBroker starts a broker of its own and returns where it lets clients in.
func startBroker(t *testing.T, by *authority) string {
	t.Helper()
	server, dir, addrs := by.issue(t, "broker"), t.TempDir(), free(t, 3)
	var chain strings.Builder
	for _, path := range []string{server.key, server.certificate} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		chain.Write(text)
	}
	keystore := write(t, filepath.Join(dir, "keystore.pem"), chain.String())
	file := write(t, filepath.Join(dir, "kafka.properties"),
		fmt.Sprintf(brokerFile, addrs[0], addrs[1], addrs[2], password, keystore, by.path, filepath.Join(dir, "data")))
	java := []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", tool(t, "kafka-*/libs") + "/*"}
	format := append(append([]string{}, java...), "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", file,
		"--add-scram", "SCRAM-SHA-512=[name=clicker,password="+password+"]", "--add-scram", "SCRAM-SHA-256=[name=clicker,password="+password+"]")
	if said, err := exec.CommandContext(t.Context(), format[0], format[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, said)
	}
	serve(t, nil, append(append([]string{}, java...), "kafka.Kafka", file)...)
	return addrs[0]
}

// setUpKafka makes the topics, which asks the broker, the controller and the
// group's coordinator.
func setUpKafka(t *testing.T, changes map[string]string) error {
	t.Helper()
	admin, err := kafka.NewAdmin(settings(t, with(changes, "NAMESPACE", "secure")))
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return admin.Setup(ctx)
}

func produce(t *testing.T, changes map[string]string) error {
	t.Helper()
	c := settings(t, with(changes, "NAMESPACE", "secure"))
	producer, err := kafka.NewProducer(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	defer func() { _ = producer.Close(ctx) }()
	if err := producer.CheckTopic(ctx); err != nil {
		return err
	}
	now := time.Now()
	_, _, err = producer.Produce(ctx, click.Routed{FanOut: 1, Click: click.Click{
		AdID: 1, AdvertiserID: 2, Impression: impression(t, 3), ClickedAt: now, Arrival: click.NewArrivalID(1, 1),
	}})
	return err
}

// impression is one that was issued now.
func impression(t *testing.T, random byte) click.ImpressionID {
	t.Helper()
	id, err := click.NewImpressionID(time.Now(), bytes.NewReader(bytes.Repeat([]byte{random}, 16)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}
