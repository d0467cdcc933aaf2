// Package deploy holds what runs Clickledger; the tests here look at what no machine without Docker can try.
package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

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
