// Package deploy holds what runs Clickledger; the tests here look at what no machine without Docker can try.
package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"clickledger/internal/config"
)

// known are the names of all settings the programs read.
func known() []string {
	return regexp.MustCompile(config.Prefix+`[A-Z0-9_]+`).FindAllString(config.Help(), -1)
}

// project loads compose.yaml strictly: unknown keys, missing volumes and settings that nobody knows are errors.
func project(t *testing.T) *types.Project {
	t.Helper()
	environment := types.Mapping{}
	for _, name := range known() {
		environment[name] = "value-of-" + name
	}
	loaded, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  ".",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml"}},
		Environment: environment,
	}, func(o *loader.Options) { o.SkipResolveEnvironment = true }) // the env file is there once the stack was started
	if err != nil {
		t.Fatalf("load compose.yaml: %v", err)
	}
	return loaded
}

func TestComposeHasEveryPartOfTheStack(t *testing.T) {
	want := []string{
		"aggregator", "clickhouse", "gateway", "ingester", "kafka", "minio", "setup", "temporal", "valkey-cache", "valkey-seen",
	}
	if got := project(t).ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestEveryComposeServiceTellsItsHealthOrWhyNot(t *testing.T) {
	for name, service := range project(t).Services {
		if service.Image == "" && service.Build == nil {
			t.Errorf("%s has neither an image nor a build", name)
		}
		if _, tag, _ := strings.Cut(service.Image, ":"); service.Build == nil && (tag == "" || tag == "latest") {
			t.Errorf("%s is not pinned: %q", name, service.Image)
		}
		if reason, _ := service.Extensions["x-no-healthcheck"].(string); service.HealthCheck == nil && reason == "" {
			t.Errorf("%s has no health check and no reason for that", name)
		}
	}
}

func TestEveryComposePortIsThisMachinesOwn(t *testing.T) {
	for name, service := range project(t).Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
	}
}

func TestTheTwoValkeysForgetDifferently(t *testing.T) {
	services := project(t).Services
	for name, policy := range map[string]string{"valkey-cache": "allkeys-lru", "valkey-seen": "noeviction"} {
		command := strings.Join(services[name].Command, " ")
		if !strings.Contains(command, "--maxmemory-policy "+policy) || !strings.Contains(command, "--appendonly no") {
			t.Errorf("%s runs %q", name, command)
		}
	}
}

func TestProgramsGetOnlySettingsTheyKnow(t *testing.T) {
	names := known()
	for name, service := range project(t).Services {
		for variable := range service.Environment {
			if strings.HasPrefix(variable, config.Prefix) && !slices.Contains(names, variable) {
				t.Errorf("%s gets %s, which no program reads", name, variable)
			}
		}
		if service.Build != nil && len(service.EnvFiles) == 0 {
			t.Errorf("%s gets no secrets", name)
		}
	}
}

func TestProgramsReachServersByTheirNames(t *testing.T) {
	services := project(t).Services
	addresses := []string{"KAFKA_BROKERS", "CLICKHOUSE_ADDRS", "VALKEY_CACHE_ADDR", "VALKEY_SEEN_ADDR", "S3_ENDPOINT", "TEMPORAL_ADDR"}
	for _, name := range []string{"setup", "gateway", "ingester", "aggregator"} {
		for _, variable := range addresses {
			value := services[name].Environment[config.Prefix+variable]
			if value == nil {
				t.Errorf("%s is not told %s", name, variable)
				continue
			}
			host, _, _ := strings.Cut(*value, ":")
			if _, ok := services[host]; !ok {
				t.Errorf("%s is told %s=%s, and there is no service %s", name, variable, *value, host)
			}
		}
	}
}

// listens are the settings that say where a program listens.
var listens = map[string][]string{
	"gateway":    {"GATEWAY_LISTEN", "GATEWAY_OPS_LISTEN"},
	"ingester":   {"INGESTER_OPS_LISTEN"},
	"aggregator": {"AGGREGATOR_OPS_LISTEN"},
}

func TestProgramsListenWherePortsAndHealthChecksLead(t *testing.T) {
	services := project(t).Services
	for name, settings := range listens {
		service := services[name]
		var listened, published []string
		for _, setting := range settings {
			value := service.Environment[config.Prefix+setting]
			if value == nil || !strings.HasPrefix(*value, ":") { // all of the container's addresses
				t.Fatalf("%s is not told %s, or only an address of its own", name, setting)
			}
			listened = append(listened, strings.TrimPrefix(*value, ":"))
		}
		for _, port := range service.Ports {
			published = append(published, strconv.Itoa(int(port.Target)))
		}
		if !slices.Equal(listened, published) {
			t.Errorf("%s listens on %v, and %v are published", name, listened, published)
		}
		ops := listened[len(listened)-1]
		if want := []string{"CMD", "ready", "http://127.0.0.1:" + ops + "/readyz"}; !slices.Equal(service.HealthCheck.Test, want) {
			t.Errorf("%s is well if %v", name, service.HealthCheck.Test)
		}
	}
}

func TestEveryVolumeIsDeclaredAndUsed(t *testing.T) {
	p := project(t)
	used := map[string]bool{}
	for name, service := range p.Services {
		for _, volume := range service.Volumes {
			used[volume.Source] = true
			if _, ok := p.Volumes[volume.Source]; volume.Type != types.VolumeTypeVolume || !ok {
				t.Errorf("%s has a volume %s, which is not declared", name, volume.Source)
			}
		}
	}
	for name := range p.Volumes {
		if !used[name] {
			t.Errorf("nobody uses the volume %s", name)
		}
	}
	gateway := p.Services["gateway"]
	if path := *gateway.Environment[config.Prefix+"JOURNAL_PATH"]; filepath.Dir(path) != gateway.Volumes[0].Target {
		t.Errorf("the journal %s is not on the volume at %s", path, gateway.Volumes[0].Target)
	}
}

func TestAProgramIsNotKilledWhileItStops(t *testing.T) {
	gateway := project(t).Services["gateway"]
	drain, err := time.ParseDuration(*gateway.Environment[config.Prefix+"DRAIN_TIMEOUT"])
	if err != nil {
		t.Fatal(err)
	}
	// Its own limits: 10 s for the clicks on their way, 5 s for the last acks.
	if grace := time.Duration(*gateway.StopGracePeriod); grace <= 15*time.Second+drain {
		t.Errorf("it is killed after %v, and may drain for %v", grace, drain)
	}
}

// The image has neither a shell nor a name of its user: what runs in it is built in it.
func TestTheImageHasWhatIsRunInIt(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := string(text)
	for _, folder := range []string{"./gateway", "./workers/setup", "./workers/ingester", "./workers/aggregator", "./deploy/ready"} {
		if !strings.Contains(dockerfile, " "+folder) {
			t.Errorf("%s is not built", folder)
		}
		if _, err := os.Stat(filepath.Join("..", folder, "main.go")); err != nil {
			t.Errorf("%s is built, and is no program: %v", folder, err)
		}
	}
	if user := regexp.MustCompile(`(?m)^USER ([1-9][0-9]*):[1-9][0-9]*$`).FindString(dockerfile); user == "" || strings.Count(dockerfile, "\nFROM ") != 2 {
		t.Errorf("the image is not as it is meant to be:\n%s", dockerfile)
	}
	for name, service := range project(t).Services {
		if service.Build != nil && (len(service.Command) != 1 || !strings.Contains(dockerfile, "/"+service.Command[0])) {
			t.Errorf("%s runs %v", name, service.Command)
		}
	}
}

func TestNoSecretIsWrittenIntoCompose(t *testing.T) {
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && strings.HasSuffix(name, "PASSWORD") && !strings.HasPrefix(value, "${") {
			t.Errorf("%s has a value of its own", name)
		}
	}
}
