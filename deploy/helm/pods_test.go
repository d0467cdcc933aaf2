package helm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"clickledger/internal/config"
)

func TestPodsKeepToTheRestrictedProfile(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for _, w := range o.workloads() {
			pod, c := w.pod.Spec, w.container().SecurityContext
			if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
				t.Errorf("%s has other containers, which nothing here looks at", w.name)
			}
			if p := pod.SecurityContext; !*p.RunAsNonRoot || *p.RunAsUser == 0 || *p.FSGroup == 0 || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: %+v", w.name, p)
			}
			if *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL" || len(c.Capabilities.Add) != 0 {
				t.Errorf("%s: %+v", w.name, c)
			}
			if *pod.AutomountServiceAccountToken || *o.accounts[pod.ServiceAccountName].AutomountServiceAccountToken {
				t.Errorf("%s has a token of Kubernetes", w.name)
			}
			// Variables of services begin as our settings do: CLICKLEDGER_GATEWAY_PORT.
			if *pod.EnableServiceLinks {
				t.Errorf("%s is told of services by variables", w.name)
			}
		}
	})
}

func TestPodsSayWhatTheyNeedAndHowTheyAre(t *testing.T) {
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for _, w := range o.workloads() {
			c := w.container()
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: resources %+v", w.name, c.Resources)
			}
			if len(c.Command) != 1 {
				t.Errorf("%s runs %v", w.name, c.Command)
			}
			if w.hook {
				continue // it runs to its end
			}
			for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
				if probe == nil || probe.HTTPGet == nil {
					t.Errorf("%s has no %s probe", w.name, name)
					continue
				}
				if _, ok := w.port(probe.HTTPGet.Port.String()); !ok || probe.HTTPGet.Port.String() != "ops" {
					t.Errorf("%s: the %s probe asks port %s", w.name, name, probe.HTTPGet.Port.String())
				}
			}
			if c.LivenessProbe.HTTPGet.Path != "/healthz" {
				t.Errorf("%s would be killed when a server is away", w.name)
			}
		}
	})
}

func TestAGatewaysJournalOutlivesItAndIsDrainedBeforeItLeaves(t *testing.T) {
	forEachRendered(t, func(t *testing.T, values map[string]any, o *objects) {
		set := o.sets["ads-clickledger-gateway"]
		retain := appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		if p := set.Spec.PersistentVolumeClaimRetentionPolicy; p == nil || p.WhenDeleted != retain || p.WhenScaled != retain {
			t.Errorf("volumes go with their gateways: %+v", p)
		}
		w := o.workloads()[1]
		c, err := config.LoadFrom(environment(t, o, w, values))
		if err != nil {
			t.Fatal(err)
		}
		mount := w.container().VolumeMounts[0]
		if mount.Name != set.Spec.VolumeClaimTemplates[0].Name || mount.ReadOnly || c.JournalPath != mount.MountPath+"/gateway.db" {
			t.Errorf("the journal is %s, the volume at %s", c.JournalPath, mount.MountPath)
		}
		if size := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().Value(); size < 2*c.JournalBytesMax {
			t.Errorf("a volume of %d bytes for a journal of %d", size, c.JournalBytesMax)
		}
		// What the stop takes: see the gateway's own limits.
		stop := time.Duration(w.container().Lifecycle.PreStop.Sleep.Seconds)*time.Second + 10*time.Second + c.DrainTimeout + 5*time.Second
		if grace := time.Duration(*w.pod.Spec.TerminationGracePeriodSeconds) * time.Second; c.DrainTimeout == 0 || grace <= stop {
			t.Errorf("it is killed after %v, its stop may take %v", grace, stop)
		}
	})
}

func TestPodsRunAsTheUserOfTheImage(t *testing.T) {
	dockerfile, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	forEachRendered(t, func(t *testing.T, _ map[string]any, o *objects) {
		for _, w := range o.workloads() {
			p := w.pod.Spec.SecurityContext
			if user := fmt.Sprintf("\nUSER %d:%d\n", *p.RunAsUser, *p.RunAsGroup); !strings.Contains(string(dockerfile), user) {
				t.Errorf("%s runs as another than the image says: %s", w.name, user)
			}
		}
	})
}
