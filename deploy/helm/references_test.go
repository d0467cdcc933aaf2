package helm

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// forEachRendered runs a test with what every example renders to.
func forEachRendered(t *testing.T, test func(*testing.T, map[string]any, *objects)) {
	t.Helper()
	forEachExample(t, func(t *testing.T, values map[string]any) {
		files, err := render(values, nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, values, decode(t, files))
	})
}

func TestEveryPartIsThere(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		var names []string
		for _, w := range o.workloads() {
			names = append(names, w.name)
		}
		if want := []string{"ads-clickledger-aggregator", "ads-clickledger-gateway", "ads-clickledger-ingester", "ads-clickledger-setup"}; !slices.Equal(names, want) {
			t.Errorf("pods are made by %v", names)
		}
		if len(o.budgets) != 3 || len(o.policies) != 4 || len(o.services) != 4 {
			t.Errorf("%d budgets, %d network policies, %d services", len(o.budgets), len(o.policies), len(o.services))
		}
	})
}

func TestPodsFindTheirConfigurationAccountAndVolumes(t *testing.T) {
	forEachRendered(t, func(t *testing.T, values map[string]any, o *objects) {
		secrets, configs := givenFiles(values)
		for _, w := range o.workloads() {
			// What a hook needs is there before the release is: only other hooks are.
			account := o.accounts[w.pod.Spec.ServiceAccountName]
			if account == nil || isHook(account.Annotations) != w.hook {
				t.Errorf("%s: there is no service account %q in time", w.name, w.pod.Spec.ServiceAccountName)
			}
			for _, from := range w.container().EnvFrom {
				source := o.configs[from.ConfigMapRef.Name]
				if source == nil || isHook(source.Annotations) != w.hook {
					t.Errorf("%s: there is no config map %q in time", w.name, from.ConfigMapRef.Name)
				}
			}
			volumes := slices.Clone(w.claims)
			for _, v := range w.pod.Spec.Volumes {
				volumes = append(volumes, v.Name)
				switch {
				case v.Secret != nil && slices.Contains(secrets, v.Secret.SecretName):
				case v.ConfigMap != nil && slices.Contains(configs, v.ConfigMap.Name):
				default:
					t.Errorf("%s: the volume %s is of nothing that the values name", w.name, v.Name)
				}
			}
			var mounted []string
			for _, m := range w.container().VolumeMounts {
				mounted = append(mounted, m.Name)
			}
			slices.Sort(volumes)
			slices.Sort(mounted)
			if !slices.Equal(volumes, mounted) {
				t.Errorf("%s has the volumes %v and mounts %v", w.name, volumes, mounted)
			}
		}
	})
}

// givenFiles are the secrets and config maps that the values mount.
func givenFiles(values map[string]any) (secrets, configs []string) {
	mounts, _ := values["mounts"].([]any)
	for _, m := range mounts {
		mount := m.(map[string]any)
		if name, ok := mount["secret"].(string); ok {
			secrets = append(secrets, name)
		}
		if name, ok := mount["configMap"].(string); ok {
			configs = append(configs, name)
		}
	}
	return secrets, configs
}

func TestHooksComeInOrder(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for _, w := range o.workloads() {
			if !w.hook {
				continue
			}
			job := o.jobs[w.name]
			needs := map[string]map[string]string{
				"service account": o.accounts[w.pod.Spec.ServiceAccountName].Annotations,
				"config map":      o.configs[w.container().EnvFrom[0].ConfigMapRef.Name].Annotations,
				"network policy":  o.policies[w.name].Annotations,
			}
			for what, annotations := range needs {
				if annotations["helm.sh/hook"] != job.Annotations["helm.sh/hook"] || annotations["helm.sh/hook-weight"] != "-10" || job.Annotations["helm.sh/hook-weight"] != "0" {
					t.Errorf("the %s of %s is not there before it: %v, %v", what, w.name, annotations, job.Annotations)
				}
			}
		}
	})
}

func TestSelectorsTakeThePodsOfOneProgram(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		selectors := map[string]map[string]string{}
		for _, w := range o.workloads() {
			if w.selector != nil {
				selectors["workload "+w.name] = w.selector
			}
			for _, s := range w.pod.Spec.TopologySpreadConstraints {
				selectors["spread of "+w.name+" over "+s.TopologyKey] = s.LabelSelector.MatchLabels
			}
		}
		for name, s := range o.services {
			selectors["service "+name] = s.Spec.Selector
		}
		for name, b := range o.budgets {
			selectors["budget "+name] = b.Spec.Selector.MatchLabels
		}
		for name, p := range o.policies {
			selectors["policy "+name] = p.Spec.PodSelector.MatchLabels
		}
		for of, selector := range selectors {
			if taken := selected(o, selector); len(taken) != 1 {
				t.Errorf("the selector of %s takes the pods of %d workloads", of, len(taken))
			}
		}
		for name, w := range o.sets {
			if taken := selected(o, w.Spec.Selector.MatchLabels); len(taken) != 1 || taken[0].name != name {
				t.Errorf("%s does not select its own pods", name)
			}
		}
	})
}

func selected(o *objects, selector map[string]string) []workload {
	var taken []workload
	for _, w := range o.workloads() {
		if w.selectedBy(selector) {
			taken = append(taken, w)
		}
	}
	return taken
}

func TestServicesReachPortsThatAreListenedOn(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for name, s := range o.services {
			w := selected(o, s.Spec.Selector)[0]
			for _, port := range s.Spec.Ports {
				number, ok := w.port(port.TargetPort.String())
				if !ok {
					t.Errorf("service %s: %s has no port %s", name, w.name, port.TargetPort.String())
				}
				if s.Spec.ClusterIP == corev1.ClusterIPNone && port.Port != number { // such a service does not translate
					t.Errorf("service %s says %d for port %s of %s, which is %d", name, port.Port, port.Name, w.name, number)
				}
			}
		}
		for name, s := range o.sets {
			service := o.services[s.Spec.ServiceName]
			if service == nil || service.Spec.ClusterIP != corev1.ClusterIPNone || selected(o, service.Spec.Selector)[0].name != name {
				t.Errorf("%s: there is no headless service %q of its pods", name, s.Spec.ServiceName)
			}
		}
		for name, i := range o.ingresses {
			for _, rule := range i.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					if !hasPort(o.services[path.Backend.Service.Name], path.Backend.Service.Port) {
						t.Errorf("ingress %s leads to %v, which is not there", name, path.Backend.Service)
					}
				}
			}
		}
	})
}

func hasPort(s *corev1.Service, wanted networkingv1.ServiceBackendPort) bool {
	return s != nil && slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool {
		return (wanted.Name != "" && p.Name == wanted.Name) || (wanted.Number != 0 && p.Port == wanted.Number)
	})
}

func TestNetworkPoliciesLetInWhatIsListenedOn(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for _, w := range o.workloads() {
			policy := o.policies[w.name]
			if policy == nil || !w.selectedBy(policy.Spec.PodSelector.MatchLabels) || len(policy.Spec.PolicyTypes) != 2 {
				t.Errorf("%s has no network policy for both ways", w.name)
				continue
			}
			var let []string
			for _, rule := range policy.Spec.Ingress {
				for _, port := range rule.Ports {
					if _, ok := w.port(port.Port.String()); !ok || port.Port.Type != intstr.String {
						t.Errorf("the policy of %s lets in port %s, which it has not", w.name, port.Port.String())
					}
					let = append(let, port.Port.String())
				}
			}
			for _, port := range w.container().Ports {
				if !slices.Contains(let, port.Name) {
					t.Errorf("the policy of %s does not let in its port %s", w.name, port.Name)
				}
			}
		}
	})
}
