package helm

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// named are objects of one kind by their names.
type named[T any] map[string]*T

// objects are a rendered chart, each document decoded into its type: an unknown or misspelt field is a fault.
type objects struct {
	configs   named[corev1.ConfigMap]
	accounts  named[corev1.ServiceAccount]
	services  named[corev1.Service]
	sets      named[appsv1.StatefulSet]
	deploys   named[appsv1.Deployment]
	jobs      named[batchv1.Job]
	budgets   named[policyv1.PodDisruptionBudget]
	policies  named[networkingv1.NetworkPolicy]
	ingresses named[networkingv1.Ingress]
}

// workload is what makes pods.
type workload struct {
	name     string
	pod      corev1.PodTemplateSpec
	selector map[string]string // nil for a job: Kubernetes makes one
	hook     bool
	claims   []string // names of volumes that it has for each pod
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

func decode(t *testing.T, files map[string]string) *objects {
	t.Helper()
	o := &objects{
		named[corev1.ConfigMap]{}, named[corev1.ServiceAccount]{}, named[corev1.Service]{}, named[appsv1.StatefulSet]{},
		named[appsv1.Deployment]{}, named[batchv1.Job]{}, named[policyv1.PodDisruptionBudget]{}, named[networkingv1.NetworkPolicy]{},
		named[networkingv1.Ingress]{},
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		for _, document := range separator.Split(files[file], -1) {
			o.add(t, file, document)
		}
	}
	return o
}

// add decodes one document, by what it says it is.
func (o *objects) add(t *testing.T, file, document string) {
	t.Helper()
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(document), &head); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, document)
	}
	switch head.APIVersion + " " + head.Kind {
	case " ": // nothing but comments
	case "v1 ConfigMap":
		put(t, o.configs, document)
	case "v1 ServiceAccount":
		put(t, o.accounts, document)
	case "v1 Service":
		put(t, o.services, document)
	case "apps/v1 StatefulSet":
		put(t, o.sets, document)
	case "apps/v1 Deployment":
		put(t, o.deploys, document)
	case "batch/v1 Job":
		put(t, o.jobs, document)
	case "policy/v1 PodDisruptionBudget":
		put(t, o.budgets, document)
	case "networking.k8s.io/v1 NetworkPolicy":
		put(t, o.policies, document)
	case "networking.k8s.io/v1 Ingress":
		put(t, o.ingresses, document)
	default:
		t.Errorf("%s has a %s %s, which nothing here looks at", file, head.APIVersion, head.Kind)
	}
}

func put[T any, P interface {
	*T
	GetName() string
}](t *testing.T, all named[T], document string) {
	t.Helper()
	object := P(new(T))
	if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
		t.Errorf("decode strictly: %v\n%s", err, document)
		return
	}
	name := object.GetName()
	if faults := validation.IsDNS1123Label(name); len(faults) > 0 {
		t.Errorf("the name %q: %v", name, faults)
	}
	if all[name] != nil {
		t.Errorf("there are two %T named %s", object, name)
	}
	all[name] = object
}

// workloads are all that makes pods, by name.
func (o *objects) workloads() []workload {
	var all []workload
	for name, s := range o.sets {
		w := workload{name: name, pod: s.Spec.Template, selector: s.Spec.Selector.MatchLabels}
		for _, claim := range s.Spec.VolumeClaimTemplates {
			w.claims = append(w.claims, claim.Name)
		}
		all = append(all, w)
	}
	for name, d := range o.deploys {
		all = append(all, workload{name: name, pod: d.Spec.Template, selector: d.Spec.Selector.MatchLabels})
	}
	for name, j := range o.jobs {
		all = append(all, workload{name: name, pod: j.Spec.Template, hook: isHook(j.Annotations)})
	}
	slices.SortFunc(all, func(a, b workload) int { return strings.Compare(a.name, b.name) })
	return all
}

func isHook(annotations map[string]string) bool { return annotations["helm.sh/hook"] != "" }

// container is the only one of a pod.
func (w workload) container() corev1.Container { return w.pod.Spec.Containers[0] }

// selects reports whether a selector takes this workload's pods.
func (w workload) selectedBy(selector map[string]string) bool {
	for key, value := range selector {
		if w.pod.Labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

// port finds a port of its container by name.
func (w workload) port(name string) (int32, bool) {
	for _, port := range w.container().Ports {
		if port.Name == name {
			return port.ContainerPort, true
		}
	}
	return 0, false
}
