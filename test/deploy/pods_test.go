// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// own are Plumbline's workloads, and whether they speak to the API server.
var own = map[string]bool{
	"plumbline-nats": false, "plumbline-watcher": false, "plumbline-renderer": false,
	"plumbline-applier": true, "plumbline-auditor": true, "plumbline-notifier": false,
}

// What Pod Security doesn't ask for: nothing is written to the root, no token
// where none is needed, what a pod may take is bounded.
func TestPodsHoldNoMoreThanTheyNeed(t *testing.T) {
	for _, overlay := range overlays {
		all := workloads(t, render(t, overlay))
		for name, token := range own {
			w, ok := all[name]
			if !ok {
				t.Errorf("%s: no %s", overlay, name)
				continue
			}
			pod, c := w.pod.Spec, w.pod.Spec.Containers[0]
			if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken != token {
				t.Errorf("%s: %s: a token is mounted: want %v", overlay, name, token)
			}
			if account := pod.ServiceAccountName; token != (account == name) || !token && account != "plumbline" {
				t.Errorf("%s: %s runs as %s", overlay, name, account)
			}
			if !*c.SecurityContext.ReadOnlyRootFilesystem && overlay != "tilt/kubernetes" {
				t.Errorf("%s: %s can write to its root", overlay, name)
			}
			if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 || pod.HostNetwork || pod.HostPID || *pod.EnableServiceLinks {
				t.Errorf("%s: %s is more than one container on its own", overlay, name)
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: %s has no bounds: %v", overlay, name, c.Resources)
			}
			if !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool {
				from := v.ValueFrom
				return v.Name == "GOMEMLIMIT" && from != nil && from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory"
			}) {
				t.Errorf("%s: %s doesn't know its bound of memory: %v", overlay, name, c.Env)
			}
			for _, v := range pod.Volumes {
				if v.HostPath != nil || v.Secret != nil && v.Secret.SecretName != name && !slices.Contains(extra[name], v.Secret.SecretName) {
					t.Errorf("%s: %s mounts %s", overlay, name, v.Name)
				}
			}
		}
	}
}

// extra are the Secrets of a workload beside its keys.
var extra = map[string][]string{
	"plumbline-watcher":  {"plumbline-git-fleet", "plumbline-webhooks"},
	"plumbline-notifier": {"plumbline-slack"},
}

// ofKind are the objects of a kind, typed.
func ofKind[T any](t *testing.T, objects []*unstructured.Unstructured, kind, namespace string) []*T {
	t.Helper()
	var found []*T
	for _, o := range objects {
		if o.GetKind() == kind && o.GetNamespace() == namespace {
			found = append(found, as[T](t, o))
		}
	}
	return found
}

func selects(t *testing.T, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(pod.Labels))
}

// reaches are the ports that each workload may be reached on by, and may reach,
// a peer.
func reaches(t *testing.T, policies []*networkingv1.NetworkPolicy, w workload) (in, out map[int32]bool) {
	t.Helper()
	in, out = map[int32]bool{}, map[int32]bool{}
	for _, p := range policies {
		if !selects(t, &p.Spec.PodSelector, w.pod) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) == 0 {
				t.Errorf("%s lets in anybody, or on any port", p.Name)
			}
			for _, port := range rule.Ports {
				in[port.Port.IntVal] = true
			}
		}
		for _, rule := range p.Spec.Egress {
			if len(rule.To) == 0 || len(rule.Ports) == 0 {
				t.Errorf("%s lets out to anybody, or to any port", p.Name)
			}
			for _, port := range rule.Ports {
				out[port.Port.IntVal] = true
			}
		}
	}
	return in, out
}

// Nothing goes in or out but what each pod needs; and what it needs does.
func TestNetworkIsClosedButForWhatEachPodNeeds(t *testing.T) {
	const dns, nats, health, webhooks, https, ssh, api = 53, 4222, 8081, 8080, 443, 22, 6443
	every := []int32{dns, 4317, 4318}
	for _, overlay := range overlays[:2] {
		objects := render(t, overlay)
		policies := ofKind[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy", "plumbline-system")
		closed := slices.ContainsFunc(policies, func(p *networkingv1.NetworkPolicy) bool {
			return len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) == 0 && len(p.Spec.PolicyTypes) == 2 &&
				len(p.Spec.Ingress)+len(p.Spec.Egress) == 0
		})
		if !closed {
			t.Errorf("%s: nothing denies by default, both ways", overlay)
		}
		all := workloads(t, objects)
		for name, want := range map[string]struct{ in, out []int32 }{
			"plumbline-nats":     {[]int32{nats}, nil},
			"plumbline-watcher":  {[]int32{webhooks}, []int32{nats, https, ssh}},
			"plumbline-renderer": {nil, []int32{nats}},
			"plumbline-applier":  {nil, []int32{nats, https, api}},
			"plumbline-auditor":  {nil, []int32{nats, https, api}},
			"plumbline-notifier": {nil, []int32{nats, https}},
		} {
			in, out := reaches(t, policies, all[name])
			same(t, overlay+": "+name+" is reached on", in, append(want.in, health))
			same(t, overlay+": "+name+" reaches", out, append(want.out, every...))
		}
	}
}

func same(t *testing.T, what string, got map[int32]bool, want []int32) {
	t.Helper()
	for _, port := range want {
		if !got[port] {
			t.Errorf("%s: not %d", what, port)
		}
		delete(got, port)
	}
	for port := range got {
		t.Errorf("%s: %d", what, port)
	}
}

// The budget is of every pod of Plumbline, and lets one go.
func TestADrainTakesOnePodAfterAnother(t *testing.T) {
	for _, overlay := range overlays {
		objects := render(t, overlay)
		budgets := ofKind[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget", "plumbline-system")
		if len(budgets) != 1 || budgets[0].Spec.MaxUnavailable.IntValue() != 1 {
			t.Fatalf("%s: %v", overlay, budgets)
		}
		all := workloads(t, objects)
		for name := range own {
			if !selects(t, budgets[0].Spec.Selector, all[name].pod) {
				t.Errorf("%s: %s isn't in the budget", overlay, name)
			}
		}
	}
}
