// Package helm holds nothing but tests of the chart beside it: what Kubernetes would be told is looked at without one. It is a module
// of its own because Helm's dependencies are none of the programs'.
package helm

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const (
	chartFolder = "clickledger"
	release     = "ads"
	namespace   = "production"
)

// example reads one of the chart's example value files, as Helm does.
func example(t *testing.T, name string) map[string]any {
	t.Helper()
	file, err := os.Open(filepath.Join(chartFolder, "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	values, err := loader.LoadValues(file)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return values
}

// forEachExample runs a test with the values of every example.
func forEachExample(t *testing.T, test func(*testing.T, map[string]any)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartFolder, "examples", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("found the examples %v, %v", files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) { test(t, example(t, name)) })
	}
}

// render is what `helm template` does: values are completed, checked by the schema, and put into the templates.
func render(values map[string]any, cluster *engine.ClientProvider) (map[string]string, error) {
	chart, err := loader.Load(chartFolder)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	if cluster != nil {
		return engine.RenderWithClientProvider(chart, all, *cluster)
	}
	return engine.Render(chart, all)
}

func TestTheChartLintsWithEveryExample(t *testing.T) {
	forEachExample(t, func(t *testing.T, values map[string]any) {
		result := lint.RunAll(chartFolder, values, namespace)
		if len(result.Messages) == 0 {
			t.Error("the linter looked at nothing: it always says that there is no icon")
		}
		for _, message := range result.Messages {
			if message.Severity >= support.WarningSev {
				t.Error(message)
			}
		}
	})
}

func TestTheNotesNameWhatWasInstalled(t *testing.T) {
	forEachExample(t, func(t *testing.T, values map[string]any) {
		files, err := render(values, nil)
		if err != nil {
			t.Fatal(err)
		}
		notes := files[chartFolder+"/templates/NOTES.txt"]
		for _, want := range []string{release + "-clickledger-gateway-0", "job/" + release + "-clickledger-setup", "clickledger_gateway_journal_clicks"} {
			if !strings.Contains(notes, want) {
				t.Errorf("%q is not in the notes:\n%s", want, notes)
			}
		}
	})
}

// with is the values with one of them, by its path, made another.
func with(values map[string]any, value any, path ...string) map[string]any {
	values = maps.Clone(values)
	if len(path) == 1 {
		values[path[0]] = value
		return values
	}
	inner, _ := values[path[0]].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
	}
	values[path[0]] = with(inner, value, path[1:]...)
	return values
}

func TestWrongValuesAreRefusedWithASentence(t *testing.T) {
	good := example(t, "small.yaml")
	for _, c := range []struct {
		path  []string
		value any
		want  string
	}{
		{[]string{"gateways"}, 2, "additional properties 'gateways' not allowed"},
		{[]string{"gateway", "replica"}, 2, "at '/gateway': additional properties 'replica' not allowed"},
		{[]string{"gateway", "replicas"}, -1, "at '/gateway/replicas': minimum: got -1, want 1"},
		{[]string{"ingester", "replicas"}, -1, "at '/ingester/replicas': minimum: got -1, want 0"},
		{[]string{"gateway", "replicas"}, "two", "at '/gateway/replicas': got string, want integer"},
		{[]string{"gateway", "storage", "size"}, "4 GB", "at '/gateway/storage/size'"},
		{[]string{"image", "digest"}, "sha256:1234", "at '/image/digest'"},
		{[]string{"config", "CLICKLEDGER_KAFKA_BROKERS"}, "kafka", "at '/config/CLICKLEDGER_KAFKA_BROKERS'"},
		{[]string{"config", "KAFKA_BROKERS"}, "kafka:9092", "at '/config': additional properties 'KAFKA_BROKERS' not allowed"},
		{[]string{"config", "CLICKLEDGER_ADMIN_KEY"}, "in plain sight", "config.CLICKLEDGER_ADMIN_KEY is a secret: say under `secrets` in which Secret it lies."},
		{[]string{"config", "CLICKLEDGER_VALKEY_PASSWORD"}, "in plain sight", "config.CLICKLEDGER_VALKEY_PASSWORD is a secret"},
		{[]string{"config", "CLICKLEDGER_GATEWAY_LISTEN"}, ":80", "config.CLICKLEDGER_GATEWAY_LISTEN is said elsewhere"},
		{[]string{"config", "CLICKLEDGER_JOURNAL_PATH"}, "/tmp/j", "config.CLICKLEDGER_JOURNAL_PATH is said elsewhere"},
		{[]string{"secrets", "CLICKLEDGER_ADMIN_KEY"}, "in plain sight", "at '/secrets/CLICKLEDGER_ADMIN_KEY': got string, want object"},
		{[]string{"secrets"}, map[string]any{}, "at '/secrets': missing properties 'CLICKLEDGER_TOKEN_KEYS'"},
		{[]string{"config"}, map[string]any{}, "at '/config': missing properties 'CLICKLEDGER_KAFKA_BROKERS'"},
		{[]string{"mounts"}, []any{map[string]any{"name": "ca", "mountPath": "/ca"}}, "at '/mounts/0'"},
	} {
		_, err := render(with(good, c.value, c.path...), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v was answered: %v\nwanted: %s", strings.Join(c.path, "."), c.value, err, c.want)
		}
	}
}

func TestTheIngressIsForTheHostOfClickURLs(t *testing.T) {
	values := with(example(t, "cluster.yaml"), "other.example.com", "ingress", "host")
	if _, err := render(values, nil); err == nil || !strings.Contains(err.Error(), "they must be one host") {
		t.Errorf("answered: %v", err)
	}
}

func TestEveryDefaultIsInTheSchema(t *testing.T) {
	chart, err := loader.Load(chartFolder)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(chart.Values))
	for _, name := range names {
		if !strings.Contains(string(chart.Schema), `"`+name+`"`) {
			t.Errorf("%s is not in the schema", name)
		}
	}
	if len(names) < 10 {
		t.Errorf("the chart has the values %v only", names)
	}
}
