// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// way is a request that would give whoever asks more than was granted.
type way struct {
	what, method, path, body string
	header                   map[string]string
	refusal                  string // a part of what the API server says
}

func binding(kind, namespace, role string) string {
	return fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":%q,"metadata":{"name":"more","namespace":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[{"kind":"ServiceAccount","name":"plumbline-applier","namespace":"plumbline-system"}]}`, kind, namespace, role)
}

func role(kind, namespace, rule string) string {
	return fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":%q,"metadata":{"name":"more","namespace":%q},"rules":[%s]}`, kind, namespace, rule)
}

// ways are open to nobody. What a role forbids by itself is refused before the
// API server looks at what would be granted; both say "forbidden".
var ways = []way{
	{what: "be the administrator", method: "GET", path: "/api/v1/secrets", header: map[string]string{"Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters"}, refusal: "cannot impersonate"},
	{what: "be another ServiceAccount", method: "GET", path: "/api/v1/secrets", header: map[string]string{"Impersonate-User": "system:serviceaccount:kube-system:generic-garbage-collector"}, refusal: "cannot impersonate"},
	{what: "be the other of the two", method: "GET", path: "/api/v1/secrets", header: map[string]string{"Impersonate-User": "system:serviceaccount:plumbline-system:plumbline"}, refusal: "cannot impersonate"},
	{what: "bind the administrator's role in a namespace", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", body: binding("RoleBinding", "shop", "cluster-admin"), refusal: "forbidden"},
	{what: "bind the administrator's role in Plumbline's namespace", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/plumbline-system/rolebindings", body: binding("RoleBinding", "plumbline-system", "cluster-admin"), refusal: "forbidden"},
	{what: "bind the administrator's role everywhere", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body: binding("ClusterRoleBinding", "", "cluster-admin"), refusal: "forbidden"},
	{what: "make a role of everything", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", body: role("Role", "shop", `{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}`), refusal: "forbidden"},
	{what: "make a role that executes in pods", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", body: role("Role", "shop", `{"apiGroups":[""],"resources":["pods/exec"],"verbs":["create"]}`), refusal: "forbidden"},
	{what: "make a role that makes tokens", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", body: role("Role", "shop", `{"apiGroups":[""],"resources":["serviceaccounts/token"],"verbs":["create"]}`), refusal: "forbidden"},
	{what: "make a role that escalates", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", body: role("Role", "shop", `{"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"],"verbs":["escalate","bind"]}`), refusal: "forbidden"},
	{what: "make a role that impersonates", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/clusterroles", body: role("ClusterRole", "", `{"apiGroups":[""],"resources":["users","groups","serviceaccounts"],"verbs":["impersonate"]}`), refusal: "forbidden"},
	{what: "add to the applier's role", method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/clusterroles", body: strings.Replace(role("ClusterRole", "", `{"apiGroups":["admissionregistration.k8s.io"],"resources":["mutatingwebhookconfigurations"],"verbs":["create"]}`), `"namespace":""`, `"labels":{"plumbline.dev/aggregate-to-applier":"true"}`, 1), refusal: "forbidden"},
	{what: "read every request by a webhook", method: "POST", path: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", body: `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"more"}}`, refusal: "cannot create"},
	{what: "make a token of the applier", method: "POST", path: "/api/v1/namespaces/plumbline-system/serviceaccounts/plumbline-applier/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, refusal: "cannot create"},
	{what: "execute in Plumbline's pods", method: "POST", path: "/api/v1/namespaces/plumbline-system/pods/plumbline-notifier-0/exec?command=cat", refusal: "cannot create"},
	{what: "read another's log", method: "GET", path: "/api/v1/namespaces/shop/pods/x/log", refusal: "cannot get"},
	{what: "read a node's files", method: "GET", path: "/api/v1/nodes/kubelab-0/proxy/logs/", refusal: "cannot get"},
	{what: "get a certificate of the cluster's", method: "POST", path: "/apis/certificates.k8s.io/v1/certificatesigningrequests", body: `{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"more"}}`, refusal: "cannot create"},
	{what: "read metrics", method: "GET", path: "/metrics", refusal: "cannot get path"},
	{what: "read the API server's log", method: "GET", path: "/logs/", refusal: "cannot get path"},
	{what: "profile the API server", method: "GET", path: "/debug/pprof/", refusal: "cannot get path"},
	{what: "change the API server's log", method: "PUT", path: "/debug/flags/v", refusal: "cannot put path"},
	{what: "ask a path that isn't there", method: "POST", path: "/nowhere", refusal: "cannot post path"},
}

// noWayToMore has each identity try each way, and ask whether it may do
// everything.
func (d deployment) noWayToMore(t *testing.T) {
	for _, who := range everyIdentity {
		c := d.client(t, who)
		for _, w := range ways {
			code, said := c.send(t, w)
			if code != http.StatusForbidden || !strings.Contains(said, w.refusal) {
				t.Errorf("%q may %s: %d %s", who, w.what, code, said)
			}
		}
		if who == nobody {
			continue // who is nobody can't ask
		}
		for _, all := range []authorizationv1.ResourceAttributes{
			{Verb: "*", Group: "*", Resource: "*"},
			{Verb: "*", Group: "*", Resource: "*", Namespace: tenants},
			{Verb: "*", Resource: "secrets", Namespace: tenants},
		} {
			review := authorizationv1.SelfSubjectAccessReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"},
				Spec:     authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &all},
			}
			body, err := json.Marshal(review)
			if err != nil {
				t.Fatal(err)
			}
			code, said := c.send(t, way{method: "POST", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body: string(body)})
			if err := json.Unmarshal([]byte(said), &review); code != http.StatusCreated || err != nil || review.Status.Allowed {
				t.Errorf("%q is an administrator: %+v: %d, %v", who, all, code, err)
			}
		}
	}
	t.Logf("%d ways, each tried by %d identities: all refused", len(ways), len(everyIdentity))
}

// send makes a request, as a dry run where it writes an object, and returns
// the answer.
func (c client) send(t *testing.T, w way) (code int, said string) {
	t.Helper()
	target := *c.host
	target.Path, target.RawQuery, _ = strings.Cut(w.path, "?")
	if strings.Contains(w.body, `"metadata"`) {
		target.RawQuery = "dryRun=All"
	}
	request, err := http.NewRequestWithContext(t.Context(), w.method, target.String(), strings.NewReader(w.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range w.header {
		request.Header.Set(name, value)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatalf("%s: %v", w.what, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// secretsOf has each identity read the Secrets of Plumbline itself: the keys of
// the bus, the Slack token, the age identity. Nobody can: they are mounted.
func (d deployment) secretsOf(t *testing.T) {
	held := []string{"plumbline-slack", "plumbline-nats", "plumbline-applier", "plumbline-git-fleet", "plumbline-webhooks"}
	for _, name := range held {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: home}, StringData: map[string]string{"token": "xoxb-of-nobody-else"}}
		if _, err := d.typed.CoreV1().Secrets(home).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range everyIdentity {
		for _, name := range held {
			code, said := d.client(t, who).send(t, way{method: "GET", path: "/api/v1/namespaces/plumbline-system/secrets/" + name})
			refused := code == http.StatusForbidden && strings.Contains(said, "cannot get resource \\\"secrets\\\"")
			if !refused || strings.Contains(said, "xoxb") {
				t.Errorf("%q reads %s: %d %s", who, name, code, said)
			}
		}
	}
}

// holds says which Secrets the pods of a workload may have: its own keys, and
// what else its work needs. No other pod has them.
var holds = map[string][]string{
	"plumbline-nats":     {"plumbline-nats"},
	"plumbline-watcher":  {"plumbline-watcher", "plumbline-git-fleet", "plumbline-webhooks"},
	"plumbline-renderer": {"plumbline-renderer"},
	"plumbline-applier":  {"plumbline-applier"},
	"plumbline-auditor":  {"plumbline-auditor"},
	"plumbline-notifier": {"plumbline-notifier", "plumbline-slack"},
}

// Whatever way there is for a pod to get at a Secret, each gets at its own: the
// Slack token is the notifier's alone. Files are read by the pod's own user, by
// its group, and by nobody else.
func TestEachPodGetsAtItsOwnSecrets(t *testing.T) {
	for _, overlay := range overlays[:2] {
		all := workloads(t, render(t, overlay))
		if len(all) != len(holds) {
			t.Errorf("%s: %d workloads, want %d", overlay, len(all), len(holds))
		}
		for name, w := range all {
			named := namedSecrets(w.Object)
			slices.Sort(named)
			if want := slices.Sorted(slices.Values(holds[name])); !slices.Equal(slices.Compact(named), want) {
				t.Errorf("%s: %s gets at %q, want %q", overlay, name, named, want)
			}
			for _, v := range w.pod.Spec.Volumes {
				if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode&0o337 != 0) {
					t.Errorf("%s: %s: the files of %s have the mode %v, want 0440", overlay, name, v.Name, v.Secret.DefaultMode)
				}
				if v.Projected != nil || v.CSI != nil {
					t.Errorf("%s: %s mounts %s in a way that this test doesn't know", overlay, name, v.Name)
				}
			}
			if g := w.pod.Spec.SecurityContext.FSGroup; g == nil || *g == 0 {
				t.Errorf("%s: %s: its files are of the group %v", overlay, name, g)
			}
		}
	}
}

// namedSecrets are the Secrets that an object names anywhere: mounted, in the
// environment, to pull images with.
func namedSecrets(v any) []string {
	var found []string
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			found = append(found, namedSecrets(item)...)
		}
	case map[string]any:
		for key, value := range v {
			switch key {
			case "secretName":
				found = append(found, fmt.Sprint(value))
				continue
			case "secretRef", "secretKeyRef", "nodePublishSecretRef":
				m, _ := value.(map[string]any)
				found = append(found, fmt.Sprint(m["name"]))
				continue
			case "imagePullSecrets":
				found = append(found, fmt.Sprint(value))
				continue
			}
			found = append(found, namedSecrets(value)...)
		}
	}
	return found
}
