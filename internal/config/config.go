// Package config reads a program's settings from the environment, once, and
// reports every fault it finds together.
package config

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"clickledger/internal/click"
)

// Prefix begins the name of every variable.
const Prefix = "CLICKLEDGER_"

// memberNameMax is how long a member's name in a group may be; 249 for Kafka.
const memberNameMax = 200

// batchIntervalMax: an advertiser reads a click within seconds.
const batchIntervalMax = 10 * time.Second

// lakeRetentionDaysMin: a bucket's rules work at midnight, and the clean-up
// leaves everything alone for a day.
const lakeRetentionDaysMin = 2

const (
	// clicksRetentionDaysMin: flushes and repairs count on what is that young.
	clicksRetentionDaysMin = int(click.RawRetention / (24 * time.Hour))
	// minutesRetentionDaysMin: so far back reports go, in any time zone.
	minutesRetentionDaysMin = 400
)

const (
	// reportsAtOnceMax leaves connections for what may not wait behind reports:
	// clicks on ads that are not known here yet, and keys.
	reportsAtOnceMax     = 12
	reportRowsMin        = 100_000
	reportMemoryBytesMin = 64 << 20
)

// notInNames is what Kafka does not allow in a member's name.
var notInNames = regexp.MustCompile(`[^a-zA-Z0-9._-]`)

// Config is everything the four programs can be told. The local stack writes
// its values into `.local/env`. There is no default for a secret.
type Config struct {
	Namespace string     `env:"NAMESPACE" envDefault:"clickledger" help:"prefix of everything named in a shared server: database, topics, group, bucket, Temporal namespace"`
	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"INFO" help:"DEBUG, INFO, WARN or ERROR"`

	TokenKeys     TokenKeys     `env:"TOKEN_KEYS,required" help:"click token keys, id:hex[,id:hex…], 32 bytes each; the first signs, all verify"`
	TokenValidity time.Duration `env:"TOKEN_VALIDITY" envDefault:"24h" help:"how long a click token counts after it was issued: the dedup horizon"`
	AdminKey      string        `env:"ADMIN_KEY,required" help:"the operator's API key, at least 16 characters"`

	KafkaBrokers   []string      `env:"KAFKA_BROKERS" envDefault:"127.0.0.1:9092" help:"host:port[,host:port…]"`
	KafkaReplicas  int16         `env:"KAFKA_REPLICAS" envDefault:"1" help:"replication factor of topics that setup creates"`
	Partitions     int32         `env:"PARTITIONS" envDefault:"6" help:"partitions of the clicks topic; checked against Kafka at start"`
	ProduceTimeout time.Duration `env:"PRODUCE_TIMEOUT" envDefault:"250ms" help:"longest a click waits for Kafka's ack before it goes to the journal"`
	BatchInterval  time.Duration `env:"BATCH_INTERVAL" envDefault:"700ms" help:"time from one insert of an ingester to its next: less of it shows clicks sooner, more is cheaper, most of all with many ingesters and shards"`
	ProduceLinger  time.Duration `env:"PRODUCE_LINGER" envDefault:"5ms" help:"how long a gateway collects clicks for one request to a broker: less of it is sooner, more is cheaper, most of all with many gateways and brokers; longer than an ack takes, else requests queue"`

	JournalPath     string        `env:"JOURNAL_PATH" envDefault:"gateway-journal.db" help:"file of the gateway's journal: one for each gateway, on a disk that outlives it"`
	JournalBytesMax int64         `env:"JOURNAL_BYTES_MAX" envDefault:"1073741824" help:"what the journal may hold: 128 bytes a click; beyond it clicks are redirected but not recorded"`
	DrainTimeout    time.Duration `env:"DRAIN_TIMEOUT" envDefault:"0s" help:"how long a gateway that is stopped goes on bringing its journal to Kafka; what stays is brought home by the next one with that journal"`

	ClickHouseAddrs    []string `env:"CLICKHOUSE_ADDRS" envDefault:"127.0.0.1:9000" help:"native protocol, host:port[,host:port…]; the first is the home shard"`
	ClickHouseUser     string   `env:"CLICKHOUSE_USER" envDefault:"clickledger"`
	ClickHousePassword string   `env:"CLICKHOUSE_PASSWORD,required"`

	ClicksRetentionDays  int `env:"CLICKS_RETENTION_DAYS" envDefault:"35" help:"how many days the store keeps clicks, at least 35; set on its tables by setup, like the next two"`
	MinutesRetentionDays int `env:"MINUTES_RETENTION_DAYS" envDefault:"400" help:"how many days it keeps figures per minute, at least 400"`
	HoursRetentionDays   int `env:"HOURS_RETENTION_DAYS" envDefault:"1095" help:"how many days it keeps figures per hour; those per day, week and month stay"`

	ValkeyCacheAddr string   `env:"VALKEY_CACHE_ADDR" envDefault:"127.0.0.1:6379" help:"catalogue cache; may evict"`
	ValkeySeenAddrs []string `env:"VALKEY_SEEN_ADDR" envDefault:"127.0.0.1:6380" help:"seen index; must not evict; of a Valkey cluster several, host:port[,host:port…]"`
	ValkeyPassword  string   `env:"VALKEY_PASSWORD" help:"of both"`
	AdCacheBytesMax int64    `env:"AD_CACHE_BYTES_MAX" envDefault:"134217728" help:"memory of the ads that a gateway keeps in process, some 410 bytes each"`
	SeenShards      int      `env:"SEEN_SHARDS" envDefault:"16" help:"shards of the seen index; another number has it rebuilt"`

	S3Endpoint  string `env:"S3_ENDPOINT" envDefault:"127.0.0.1:9100"`
	S3AccessKey string `env:"S3_ACCESS_KEY,required"`
	S3SecretKey string `env:"S3_SECRET_KEY,required"`
	S3TLS       bool   `env:"S3_TLS" envDefault:"false"`

	LakeRetentionDays int `env:"LAKE_RETENTION_DAYS" envDefault:"400" help:"how many days the lake keeps clicks; set on the bucket by setup"`

	TemporalAddr string `env:"TEMPORAL_ADDR" envDefault:"127.0.0.1:7233"`

	AllowedLateness time.Duration `env:"ALLOWED_LATENESS" envDefault:"10s" help:"how long after its end a window waits for late clicks before it may be sealed"`

	AdvertiserCallsPerSecond int `env:"ADVERTISER_CALLS_PER_SECOND" envDefault:"100" help:"API calls a second that a gateway takes of one key of an advertiser, unless the key was given a number of its own"`
	PublisherCallsPerSecond  int `env:"PUBLISHER_CALLS_PER_SECOND" envDefault:"5000" help:"of one key of a publisher"`
	AdminCallsPerSecond      int `env:"ADMIN_CALLS_PER_SECOND" envDefault:"1000" help:"of one key of an admin; ADMIN_KEY itself is not limited"`
	ChangesPerSecond         int `env:"CHANGES_PER_SECOND" envDefault:"20" help:"calls a second that change something, of one key; five seconds' worth at once"`

	ReportsAtOnce        int    `env:"REPORTS_AT_ONCE" envDefault:"4" help:"questions of reports that one gateway has the store answer at a time, half of them of one advertiser; at most 12"`
	ReportRowsMax        uint64 `env:"REPORT_ROWS_MAX" envDefault:"100000000" help:"rows that one question of a report may read; more is refused before it is read"`
	ReportMemoryBytesMax uint64 `env:"REPORT_MEMORY_BYTES_MAX" envDefault:"1073741824" help:"memory of the store that one question of a report may take"`
	ReportCacheBytesMax  uint64 `env:"REPORT_CACHE_BYTES_MAX" envDefault:"67108864" help:"memory of a gateway for figures of days that are rolled up and what is known of their corrections, which are not read again while they stand; 0: none"`

	KafkaTLS       bool   `env:"KAFKA_TLS" envDefault:"false" help:"speak TLS to the brokers; the same for the other servers below and S3_TLS"`
	KafkaUser      string `env:"KAFKA_USER" help:"log in to the brokers by SASL; none by default"`
	KafkaPassword  string `env:"KAFKA_PASSWORD"`
	KafkaSASL      string `env:"KAFKA_SASL" envDefault:"SCRAM-SHA-512" help:"how: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"`
	ClickHouseTLS  bool   `env:"CLICKHOUSE_TLS" envDefault:"false"`
	ValkeyTLS      bool   `env:"VALKEY_TLS" envDefault:"false" help:"of both"`
	ValkeyUser     string `env:"VALKEY_USER" help:"of both; the default user if empty"`
	TemporalTLS    bool   `env:"TEMPORAL_TLS" envDefault:"false"`
	TemporalAPIKey string `env:"TEMPORAL_API_KEY" help:"sent with each call, as Temporal Cloud wants it; needs TEMPORAL_TLS"`
	TLSCAFile      string `env:"TLS_CA_FILE" help:"PEM file of authorities that are trusted beside the system's, by all of these connections"`
	TLSCertFile    string `env:"TLS_CERT_FILE" help:"PEM file of the certificate shown to servers that ask for one"`
	TLSKeyFile     string `env:"TLS_KEY_FILE" help:"PEM file of its key"`

	PublicURL   string   `env:"PUBLIC_URL" envDefault:"http://127.0.0.1:8080" help:"what click URLs begin with"`
	CORSOrigins []string `env:"CORS_ORIGINS" help:"web pages that may use the API from a browser, https://host[:port][,https://…]; none by default"`

	GatewayListen       string `env:"GATEWAY_LISTEN" envDefault:"127.0.0.1:8080" help:"clicks and API"`
	GatewayOpsListen    string `env:"GATEWAY_OPS_LISTEN" envDefault:"127.0.0.1:8090" help:"/metrics, /healthz, /readyz, /debug/pprof"`
	IngesterOpsListen   string `env:"INGESTER_OPS_LISTEN" envDefault:"127.0.0.1:8091"`
	AggregatorOpsListen string `env:"AGGREGATOR_OPS_LISTEN" envDefault:"127.0.0.1:8092"`

	tls *tls.Config // read by load
}

// Load reads the process's environment.
func Load() (Config, error) { return load(env.Options{Prefix: Prefix}) }

// LoadFrom reads variables from a map of full names instead of the process's
// environment: what tests and the local stack's tools use.
func LoadFrom(variables map[string]string) (Config, error) {
	return load(env.Options{Prefix: Prefix, Environment: variables})
}

func load(options env.Options) (Config, error) {
	var c Config
	faults := []error{env.ParseWithOptions(&c, options)}
	var aggregate env.AggregateError
	if errors.As(faults[0], &aggregate) {
		faults = aggregate.Errors
	}
	faults = append(faults, c.check()...)
	faults = append(faults, c.readTLS()...)
	if err := errors.Join(faults...); err != nil {
		return Config{}, fmt.Errorf("configuration:\n%w", err)
	}
	return c, nil
}

var namespacePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// areAddrs reports whether there is an address, and nothing but addresses.
func areAddrs(texts []string) bool {
	return len(texts) > 0 && !slices.ContainsFunc(texts, func(text string) bool {
		host, port, err := net.SplitHostPort(text)
		return err != nil || host == "" || port == ""
	})
}

// check finds what parsing cannot. Missing variables were already reported.
func (c Config) check() []error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(Prefix+format, args...))
		}
	}
	fault(!namespacePattern.MatchString(c.Namespace), "NAMESPACE %q must be lower-case letters, digits and _, at most 41", c.Namespace)
	fault(c.AdminKey != "" && len(c.AdminKey) < 16, "ADMIN_KEY is shorter than 16 characters")
	fault(c.TokenValidity <= 0, "TOKEN_VALIDITY %v must be positive", c.TokenValidity)
	fault(c.Partitions < 1, "PARTITIONS %d must be at least 1", c.Partitions)
	fault(c.KafkaReplicas < 1, "KAFKA_REPLICAS %d must be at least 1", c.KafkaReplicas)
	fault(!areAddrs(c.ValkeySeenAddrs), "VALKEY_SEEN_ADDR %q must be host:port[,host:port…]", strings.Join(c.ValkeySeenAddrs, ","))
	fault(c.SeenShards < 1 || c.SeenShards > 9999, "SEEN_SHARDS %d must be from 1 to 9999", c.SeenShards)
	fault(c.LakeRetentionDays < lakeRetentionDaysMin, "LAKE_RETENTION_DAYS %d must be at least %d", c.LakeRetentionDays, lakeRetentionDaysMin)
	fault(c.ClicksRetentionDays < clicksRetentionDaysMin, "CLICKS_RETENTION_DAYS %d must be at least %d", c.ClicksRetentionDays, clicksRetentionDaysMin)
	fault(c.MinutesRetentionDays < minutesRetentionDaysMin, "MINUTES_RETENTION_DAYS %d must be at least %d", c.MinutesRetentionDays, minutesRetentionDaysMin)
	fault(c.HoursRetentionDays < c.MinutesRetentionDays, "HOURS_RETENTION_DAYS %d must be at least MINUTES_RETENTION_DAYS", c.HoursRetentionDays)
	fault(c.AdCacheBytesMax < 1<<20, "AD_CACHE_BYTES_MAX %d must be at least 1048576", c.AdCacheBytesMax)
	fault(c.JournalPath == "", "JOURNAL_PATH is empty")
	fault(c.JournalBytesMax < 1<<20, "JOURNAL_BYTES_MAX %d must be at least 1048576", c.JournalBytesMax)
	fault(c.DrainTimeout < 0, "DRAIN_TIMEOUT %v must not be negative", c.DrainTimeout)
	fault(c.ProduceLinger < 0 || c.ProduceLinger > c.ProduceTimeout/2, "PRODUCE_LINGER %v must be from 0s to half of PRODUCE_TIMEOUT", c.ProduceLinger)
	fault(c.BatchInterval <= 0 || c.BatchInterval > batchIntervalMax, "BATCH_INTERVAL %v must be positive and at most %v", c.BatchInterval, batchIntervalMax)
	fault(c.ProduceTimeout <= 0, "PRODUCE_TIMEOUT %v must be positive", c.ProduceTimeout)
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"ADVERTISER_CALLS_PER_SECOND", c.AdvertiserCallsPerSecond}, {"PUBLISHER_CALLS_PER_SECOND", c.PublisherCallsPerSecond},
		{"ADMIN_CALLS_PER_SECOND", c.AdminCallsPerSecond}, {"CHANGES_PER_SECOND", c.ChangesPerSecond},
	} {
		fault(limit.value < 1, "%s %d must be at least 1", limit.name, limit.value)
	}
	fault(c.ReportsAtOnce < 1 || c.ReportsAtOnce > reportsAtOnceMax, "REPORTS_AT_ONCE %d must be from 1 to %d", c.ReportsAtOnce, reportsAtOnceMax)
	fault(c.ReportRowsMax < reportRowsMin, "REPORT_ROWS_MAX %d must be at least %d", c.ReportRowsMax, reportRowsMin)
	fault(c.ReportMemoryBytesMax < reportMemoryBytesMin, "REPORT_MEMORY_BYTES_MAX %d must be at least %d", c.ReportMemoryBytesMax, reportMemoryBytesMin)
	fault(!slices.Contains(saslMechanisms, c.KafkaSASL), "KAFKA_SASL %q must be one of %s", c.KafkaSASL, strings.Join(saslMechanisms, ", "))
	fault((c.KafkaUser == "") != (c.KafkaPassword == ""), "KAFKA_USER and KAFKA_PASSWORD: one is set and the other is not")
	fault(c.ValkeyUser != "" && c.ValkeyPassword == "", "VALKEY_USER is set and VALKEY_PASSWORD is not")
	fault(c.TemporalAPIKey != "" && !c.TemporalTLS, "TEMPORAL_API_KEY would be sent in the clear: set "+Prefix+"TEMPORAL_TLS too")
	fault(c.AllowedLateness < 0, "ALLOWED_LATENESS %v must not be negative", c.AllowedLateness)
	for _, origin := range c.CORSOrigins {
		fault(!isOrigin(origin), "CORS_ORIGINS: %q must be an origin such as https://reports.example.com: no path, no *", origin)
	}
	public, err := url.Parse(c.PublicURL)
	fault(err != nil || public.Host == "" || (public.Scheme != "http" && public.Scheme != "https"),
		"PUBLIC_URL %q must be an http or https URL", c.PublicURL)
	return faults
}

// isOrigin reports whether a browser could call a page's origin so.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.Contains(text, "*") && text == u.Scheme+"://"+u.Host
}

// Names of what this deployment keeps in shared servers, all under its
// namespace, so that two deployments beside each other never touch.

// Database is the ClickHouse database.
func (c Config) Database() string { return c.Namespace }

// ClicksTopic carries the clicks.
func (c Config) ClicksTopic() string { return c.Namespace + ".clicks" }

// DeadTopic carries the dead letters.
func (c Config) DeadTopic() string { return c.Namespace + ".clicks.dead" }

// FilteredTopic carries what gateways redirected but did not produce.
func (c Config) FilteredTopic() string { return c.Namespace + ".clicks.filtered" }

// FilteredGroup is the consumer group that stores it.
func (c Config) FilteredGroup() string { return c.Namespace + ".ingester.filtered" }

// IngesterGroup is the consumer group whose commits mean "stored".
func (c Config) IngesterGroup() string { return c.Namespace + ".ingester" }

// IngesterName is this ingester's in its group: the same after a restart, and
// another for each beside it, by its machine and its port.
func (c Config) IngesterName() string {
	host, err := os.Hostname()
	if err != nil {
		return "" // a group takes nameless members too
	}
	name := notInNames.ReplaceAllString(host+"."+c.IngesterOpsListen, "_")
	return name[max(0, len(name)-memberNameMax):]
}

// KeyPrefix begins every Valkey key.
func (c Config) KeyPrefix() string { return c.Namespace + ":" }

// Bucket is the S3 bucket of the lake. S3 allows no underscore in its name.
func (c Config) Bucket() string { return strings.ReplaceAll(c.Namespace, "_", "-") + "-lake" }

// TemporalNamespace is the Temporal namespace.
func (c Config) TemporalNamespace() string { return c.Namespace }

// TokenKeys parses id:hex[,id:hex…].
type TokenKeys []click.Key

// UnmarshalText reads the keys. Its errors never repeat a secret.
func (k *TokenKeys) UnmarshalText(text []byte) error {
	*k = nil
	for i, part := range strings.Split(string(text), ",") {
		id, secret, ok := strings.Cut(strings.TrimSpace(part), ":")
		number, err := strconv.ParseUint(id, 10, 8)
		if !ok || err != nil {
			return fmt.Errorf("token key number %d is not of the form id:hex with an id from 0 to 255", i+1)
		}
		raw, err := hex.DecodeString(secret)
		if err != nil || len(raw) != 32 {
			return fmt.Errorf("token key %d is not 64 hexadecimal digits", number)
		}
		*k = append(*k, click.Key{ID: uint8(number), Secret: raw})
	}
	return nil
}

// String hides the secrets.
func (k TokenKeys) String() string { return fmt.Sprintf("%d token keys", len(k)) }

// Help is a table of every variable, its default and its meaning, for --help.
func Help() string {
	var b strings.Builder
	for field := range reflect.TypeFor[Config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		value := field.Tag.Get("envDefault")
		if strings.Contains(field.Tag.Get("env"), "required") {
			value = "(required)"
		}
		fmt.Fprintf(&b, "  %-36s %-24s %s\n", Prefix+name, value, field.Tag.Get("help"))
	}
	return b.String()
}
