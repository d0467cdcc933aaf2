package helm

import (
	"context"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/engine"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// cluster is one in which a number of gateways runs. It answers what the chart asks and nothing else.
type cluster struct {
	dynamic.NamespaceableResourceInterface
	t        *testing.T
	gateways int64
}

func (c cluster) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	if apiVersion != "apps/v1" || kind != "StatefulSet" {
		c.t.Errorf("the chart looks for a %s %s", apiVersion, kind)
	}
	return c, true, nil
}

func (c cluster) Namespace(name string) dynamic.ResourceInterface {
	if name != namespace {
		c.t.Errorf("the chart looks into %s", name)
	}
	return c
}

func (c cluster) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	if name != "ads-clickledger-gateway" {
		c.t.Errorf("the chart looks for %s", name)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"replicas": c.gateways},
	}}, nil
}

func TestFewerGatewaysAreRefusedUntilSomebodySaysTheyAreDrained(t *testing.T) {
	values := example(t, "cluster.yaml") // three
	for _, c := range []struct {
		running int64
		allowed bool
		refused bool
	}{{3, false, false}, {2, false, false}, {4, false, true}, {4, true, false}} {
		var provider engine.ClientProvider = cluster{t: t, gateways: c.running}
		_, err := render(with(values, c.allowed, "gateway", "allowScaleDown"), &provider)
		switch {
		case c.refused && (err == nil || !strings.Contains(err.Error(), "gateway.replicas would go from 4 to 3") || !strings.Contains(err.Error(), "clickledger_gateway_journal_clicks")):
			t.Errorf("from %d gateways to 3: %v", c.running, err)
		case !c.refused && err != nil:
			t.Errorf("from %d gateways to 3, allowed %t: %v", c.running, c.allowed, err)
		}
	}
}
