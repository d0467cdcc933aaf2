package helm

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"clickledger/internal/config"
)

// known are the names of all settings that the programs read.
func known() []string {
	return regexp.MustCompile(config.Prefix+`[A-Z0-9_]+`).FindAllString(config.Help(), -1)
}

// secretValue stands for what Kubernetes takes out of secrets; the programs accept it.
func secretValue(variable string) string {
	if variable == config.Prefix+"TOKEN_KEYS" {
		return "1:" + strings.Repeat("ab", 32)
	}
	return "a secret of some length"
}

// environment is what a container is told, in the end.
func environment(t *testing.T, o *objects, w workload, values map[string]any) map[string]string {
	t.Helper()
	told := map[string]string{}
	for _, from := range w.container().EnvFrom {
		for name, value := range o.configs[from.ConfigMapRef.Name].Data {
			told[name] = value
		}
	}
	secrets := values["secrets"].(map[string]any)
	for _, variable := range w.container().Env {
		told[variable.Name] = variable.Value
		if variable.ValueFrom == nil {
			continue
		}
		reference := variable.ValueFrom.SecretKeyRef
		place, ok := secrets[variable.Name].(map[string]any)
		if !ok || reference == nil || reference.Name != place["name"] || reference.Key != place["key"] || (reference.Optional != nil && *reference.Optional) {
			t.Errorf("%s: %s comes from %+v, the values say %v", w.name, variable.Name, reference, place)
		}
		told[variable.Name] = secretValue(variable.Name)
	}
	return told
}

func TestProgramsUnderstandWhatTheyAreTold(t *testing.T) {
	names := known()
	forEachRendered(t, func(t *testing.T, values map[string]any, o *objects) {
		for _, w := range o.workloads() {
			told := environment(t, o, w, values)
			for name := range told {
				if !slices.Contains(names, name) {
					t.Errorf("%s is told %s, which no program reads", w.name, name)
				}
			}
			if _, err := config.LoadFrom(told); err != nil { // what is required is there, and all of it is valid
				t.Errorf("%s would not start: %v", w.name, err)
			}
		}
	})
}

func TestLargeNumbersArriveAsTheyWereWritten(t *testing.T) {
	values := with(example(t, "small.yaml"), float64(107374182400), "config", "CLICKLEDGER_JOURNAL_BYTES_MAX")
	files, err := render(values, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, files).configs["ads-clickledger"].Data["CLICKLEDGER_JOURNAL_BYTES_MAX"]; got != "107374182400" {
		t.Errorf("it became %s", got)
	}
}

func TestProgramsListenOnThePortsOfTheirPods(t *testing.T) {
	forEachRendered(t, func(t *testing.T, values map[string]any, o *objects) {
		for _, w := range o.workloads() {
			c, err := config.LoadFrom(environment(t, o, w, values))
			if err != nil {
				t.Fatal(err)
			}
			for name, addr := range map[string]map[string]string{
				"ads-clickledger-gateway":    {"clicks": c.GatewayListen, "ops": c.GatewayOpsListen},
				"ads-clickledger-ingester":   {"ops": c.IngesterOpsListen},
				"ads-clickledger-aggregator": {"ops": c.AggregatorOpsListen},
				"ads-clickledger-setup":      {},
			}[w.name] {
				host, port, err := net.SplitHostPort(addr)
				number, ok := w.port(name)
				if err != nil || host != "" || !ok || port != strconv.Itoa(int(number)) { // no host: all of the pod's addresses
					t.Errorf("%s listens on %q, its port %s is %d", w.name, addr, name, number)
				}
			}
		}
	})
}

func TestProgramsMayCallTheServersTheyAreTold(t *testing.T) {
	addresses := regexp.MustCompile(`_(BROKERS|ADDRS?|ENDPOINT)$`)
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		checked := 0
		for name, value := range o.configs["ads-clickledger"].Data {
			if !addresses.MatchString(name) {
				continue
			}
			for addr := range strings.SplitSeq(value, ",") {
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				for policyName, policy := range o.policies {
					if !letsOut(policy.Spec.Egress, port) {
						t.Errorf("the policy %s does not let out to %s, which is in %s", policyName, addr, name)
					}
				}
				checked++
			}
		}
		if checked < 6 {
			t.Errorf("%d addresses of servers were looked at", checked)
		}
	})
}

func letsOut(rules []networkingv1.NetworkPolicyEgressRule, port string) bool {
	return slices.ContainsFunc(rules, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.String() == port })
	})
}

func TestNoSecretIsInTheConfigMaps(t *testing.T) {
	secret := regexp.MustCompile(`PASSWORD|SECRET|_KEYS?$`)
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for name, c := range o.configs {
			for variable := range c.Data {
				if secret.MatchString(variable) {
					t.Errorf("%s is in the config map %s", variable, name)
				}
			}
		}
	})
}
